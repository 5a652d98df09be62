// Linear attention and its projections one after another, backward from the inputs alone.

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

struct Attended {
  Tensor qkv, out, context, k_max, k_sum;
};

Attended attend(RefBackend& ref, const AttentionArgs& args, const Tensor& x,
                const AttentionProjections& w) {
  const int64_t images = x.size(0), height = x.size(1), columns = x.size(2);
  const int64_t hidden = w.out.size(2), width = hidden / args.heads;
  Attended made{.qkv = Tensor({images, height, columns, 3 * hidden}),
                .out = Tensor({images, height, columns, hidden}),
                .context = Tensor({images, args.heads, width, width}),
                .k_max = Tensor({images, hidden}),
                .k_sum = Tensor({images, hidden})};
  ref.conv2d({}, x, w.qkv, nullptr, made.qkv);
  ref.linear_attention(args, made.qkv, made.out, made.context, made.k_max, made.k_sum);
  return made;
}

// sum over positions of softmax(k)[., c] x for every image n and channel c of k.
void gather(const Tensor& x, const Attended& from, Tensor& gathered) {
  const int64_t positions = x.size(1) * x.size(2), C = x.size(3), hidden = from.k_max.size(1);
  parallel_for(
      x.size(0) * hidden, ref::grain(positions * (C + 32)), [&](int64_t begin, int64_t end) {
        std::vector<double> sum(C);
        for (int64_t item = begin; item < end; ++item) {
          const int64_t n = item / hidden, c = item % hidden;
          std::fill(sum.begin(), sum.end(), 0.0);
          for (int64_t p = n * positions; p < (n + 1) * positions; ++p) {
            const double k = from.qkv.f32()[p * 3 * hidden + hidden + c];
            const double weight = std::exp(k - from.k_max.f32()[item]) / from.k_sum.f32()[item];
            for (int64_t i = 0; i < C; ++i) sum[i] += weight * x.f32()[p * C + i];
          }
          std::copy(sum.begin(), sum.end(), gathered.f32() + item * C);
        }
      });
}

}  // namespace

void RefBackend::projected_linear_attention(const AttentionArgs& args, const Tensor& x,
                                            const AttentionProjections& w, Tensor& y,
                                            LinearAttentionSums& sums) {
  RefBackend ref;
  const Attended made = attend(ref, args, x, w);
  ref.conv2d({}, made.out, w.out, &w.bias, y);
  std::copy_n(made.k_max.f32(), made.k_max.elements(), sums.k_max.f32());
  std::copy_n(made.k_sum.f32(), made.k_sum.elements(), sums.k_sum.f32());
  gather(x, made, sums.gathered);
}

void RefBackend::projected_linear_attention_backward(const AttentionArgs& args, const Tensor& dy,
                                                     const Tensor& x, const AttentionProjections& w,
                                                     const LinearAttentionSums&, Tensor& dx,
                                                     Tensor& dw_qkv, Tensor& dw_out,
                                                     Tensor& dbias) {
  RefBackend ref;
  const Attended made = attend(ref, args, x, w);
  Tensor dout(made.out.shape()), dqkv(made.qkv.shape());
  ref.conv2d_backward_weights({}, made.out, dy, dw_out, &dbias);
  ref.conv2d_backward_data({}, dy, w.out, dout, nullptr);
  ref.linear_attention_backward(args, dout, made.qkv, made.context, made.k_max, made.k_sum, dqkv);
  ref.conv2d_backward_weights({}, x, dqkv, dw_qkv, nullptr);
  ref.conv2d_backward_data({}, dqkv, w.qkv, dx, nullptr);
}

}  // namespace ddpm
