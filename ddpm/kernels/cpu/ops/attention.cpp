// The kinds of attention: turns tensors into pointers and extents.
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

// count_axis: that of the axes which counts the keys of a head.
cpu::AttentionMemory memory_of(const Tensor* memory, int count_axis) {
  return memory ? cpu::AttentionMemory{memory->f32(), memory->size(count_axis)}
                : cpu::AttentionMemory{};
}

float* pointer_of(Tensor* tensor) { return tensor ? tensor->f32() : nullptr; }

}  // namespace

void CpuBackend::run(const op::Attention& o) {
  cpu::softmax_attention(attention_shape(o.args, o.qkv), o.qkv.f32(), memory_of(o.memory, 2),
                         o.out.f32(), o.logsumexp.f32());
}

void CpuBackend::run(const op::AttentionBackward& o) {
  cpu::softmax_attention_backward(attention_shape(o.args, o.qkv), o.dout.f32(), o.qkv.f32(),
                                  memory_of(o.memory, 2), o.out.f32(), o.logsumexp.f32(),
                                  o.dqkv.f32(), pointer_of(o.dmemory));
}

void CpuBackend::run(const op::LinearAttention& o) {
  cpu::linear_attention(attention_shape(o.args, o.qkv), o.qkv.f32(), memory_of(o.memory, 3),
                        o.out.f32(), o.context.f32(), o.k_max.f32(), o.k_sum.f32());
}

void CpuBackend::run(const op::LinearAttentionBackward& o) {
  cpu::linear_attention_backward(attention_shape(o.args, o.qkv), o.dout.f32(), o.qkv.f32(),
                                 memory_of(o.memory, 3), o.context.f32(), o.k_max.f32(),
                                 o.k_sum.f32(), o.dqkv.f32(), pointer_of(o.dmemory));
}

void CpuBackend::run(const op::ProjectedLinearAttention& o) {
  cpu::projected_linear_attention(
      projected_shape(o.args, o.x, o.w), o.x.f32(),
      {o.w.qkv.f32(), o.w.out.f32(), o.w.bias.f32(), memory_of(o.memory, 3)}, o.y.f32(),
      o.sums.k_max.f32(), o.sums.k_sum.f32(), o.sums.gathered.f32());
}

void CpuBackend::run(const op::ProjectedLinearAttentionBackward& o) {
  cpu::projected_linear_attention_backward(
      projected_shape(o.args, o.x, o.w), o.dy.f32(), o.x.f32(),
      {o.w.qkv.f32(), o.w.out.f32(), nullptr, memory_of(o.memory, 3)}, o.sums.k_max.f32(),
      o.sums.k_sum.f32(), o.sums.gathered.f32(),
      {o.dx.f32(), o.dw_qkv.f32(), o.dw_out.f32(), o.dbias.f32(), pointer_of(o.dmemory)});
}

}  // namespace ddpm
