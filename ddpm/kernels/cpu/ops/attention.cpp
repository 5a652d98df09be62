// The kinds of attention: tensors in, pointers and extents out.
#include "ddpm/kernels/cpu/attention/attention.h"

#include <algorithm>

#include "ddpm/kernels/cpu/attention/linear_attention.h"
#include "ddpm/kernels/cpu/attention/projected_linear_attention.h"
#include "ddpm/kernels/cpu/ops/cpu_backend.h"

namespace ddpm {
namespace {

// qkv [N, H, W, 3 * heads * d], or any number of extents between the first and the last.
cpu::AttentionShape attention_shape(const AttentionArgs& args, const Tensor& qkv) {
  const int64_t images = qkv.size(0), all = qkv.size(-1);
  return {.images = images,
          .positions = qkv.elements() / std::max<int64_t>(images * all, 1),
          .heads = args.heads,
          .width = all / 3 / args.heads};
}

cpu::ProjectedShape projected_shape(const AttentionArgs& args, const Tensor& x,
                                    const AttentionProjections& w) {
  return {.attention = {.images = x.size(0),
                        .positions = x.size(1) * x.size(2),
                        .heads = args.heads,
                        .width = w.out.size(2) / args.heads},
          .channels = x.size(3),
          .outputs = w.out.size(3)};
}

}  // namespace

void CpuBackend::attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out,
                           Tensor& logsumexp) {
  cpu::softmax_attention(attention_shape(args, qkv), qkv.f32(), out.f32(), logsumexp.f32());
}

void CpuBackend::attention_backward(const AttentionArgs& args, const Tensor& dout,
                                    const Tensor& qkv, const Tensor& out, const Tensor& logsumexp,
                                    Tensor& dqkv) {
  cpu::softmax_attention_backward(attention_shape(args, qkv), dout.f32(), qkv.f32(), out.f32(),
                                  logsumexp.f32(), dqkv.f32());
}

void CpuBackend::linear_attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out,
                                  Tensor& context, Tensor& k_max, Tensor& k_sum) {
  cpu::linear_attention(attention_shape(args, qkv), qkv.f32(), out.f32(), context.f32(),
                        k_max.f32(), k_sum.f32());
}

void CpuBackend::linear_attention_backward(const AttentionArgs& args, const Tensor& dout,
                                           const Tensor& qkv, const Tensor& context,
                                           const Tensor& k_max, const Tensor& k_sum, Tensor& dqkv) {
  cpu::linear_attention_backward(attention_shape(args, qkv), dout.f32(), qkv.f32(), context.f32(),
                                 k_max.f32(), k_sum.f32(), dqkv.f32());
}

void CpuBackend::projected_linear_attention(const AttentionArgs& args, const Tensor& x,
                                            const AttentionProjections& w, Tensor& y,
                                            LinearAttentionSums& sums) {
  cpu::projected_linear_attention(projected_shape(args, x, w), x.f32(),
                                  {w.qkv.f32(), w.out.f32(), w.bias.f32()}, y.f32(),
                                  sums.k_max.f32(), sums.k_sum.f32(), sums.gathered.f32());
}

void CpuBackend::projected_linear_attention_backward(const AttentionArgs& args, const Tensor& dy,
                                                     const Tensor& x, const AttentionProjections& w,
                                                     const LinearAttentionSums& sums, Tensor& dx,
                                                     Tensor& dw_qkv, Tensor& dw_out,
                                                     Tensor& dbias) {
  cpu::projected_linear_attention_backward(projected_shape(args, x, w), dy.f32(), x.f32(),
                                           {w.qkv.f32(), w.out.f32(), nullptr}, sums.k_max.f32(),
                                           sums.k_sum.f32(), sums.gathered.f32(),
                                           {dx.f32(), dw_qkv.f32(), dw_out.f32(), dbias.f32()});
}

}  // namespace ddpm
