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
                const AttentionProjections& w, const Tensor* memory) {
  const int64_t images = x.size(0), height = x.size(1), columns = x.size(2);
  const int64_t hidden = w.out.size(2), width = hidden / args.heads;
  Attended made{.qkv = Tensor({images, height, columns, 3 * hidden}),
                .out = Tensor({images, height, columns, hidden}),
                .context = Tensor({images, args.heads, width, width}),
                .k_max = Tensor({images, hidden}),
                .k_sum = Tensor({images, hidden})};
  ref.run(op::Conv2d{.x = x, .w = w.qkv, .y = made.qkv});
  ref.run(op::LinearAttention{.args = args,
                              .qkv = made.qkv,
                              .memory = memory,
                              .out = made.out,
                              .context = made.context,
                              .k_max = made.k_max,
                              .k_sum = made.k_sum});
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

void RefBackend::run(const op::ProjectedLinearAttention& o) {
  RefBackend ref;
  const Attended made = attend(ref, o.args, o.x, o.w, o.memory);
  ref.run(op::Conv2d{.x = made.out, .w = o.w.out, .bias = &o.w.bias, .y = o.y});
  std::copy_n(made.k_max.f32(), made.k_max.elements(), o.sums.k_max.f32());
  std::copy_n(made.k_sum.f32(), made.k_sum.elements(), o.sums.k_sum.f32());
  gather(o.x, made, o.sums.gathered);
}

void RefBackend::run(const op::ProjectedLinearAttentionBackward& o) {
  RefBackend ref;
  const Attended made = attend(ref, o.args, o.x, o.w, o.memory);
  Tensor dout(made.out.shape()), dqkv(made.qkv.shape());
  ref.run(op::Conv2dBackwardWeights{.x = made.out, .dy = o.dy, .dw = o.dw_out, .dbias = &o.dbias});
  ref.run(op::Conv2dBackwardData{.dy = o.dy, .w = o.w.out, .dx = dout});
  ref.run(op::LinearAttentionBackward{.args = o.args,
                                      .dout = dout,
                                      .qkv = made.qkv,
                                      .memory = o.memory,
                                      .context = made.context,
                                      .k_max = made.k_max,
                                      .k_sum = made.k_sum,
                                      .dqkv = dqkv,
                                      .dmemory = o.dmemory});
  ref.run(op::Conv2dBackwardWeights{.x = o.x, .dy = dqkv, .dw = o.dw_qkv});
  ref.run(op::Conv2dBackwardData{.dy = dqkv, .w = o.w.qkv, .dx = o.dx});
}

}  // namespace ddpm
