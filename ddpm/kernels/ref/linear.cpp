// Matrix products by their formula, in double.

#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

void RefBackend::run(const op::Linear& o) {
  const int64_t in = o.w.size(0), out = o.w.size(1);
  const float *from = o.x.f32(), *weight = o.w.f32(), *b = o.bias ? o.bias->f32() : nullptr;
  float* to = o.y.f32();
  parallel_for(o.y.elements() / std::max<int64_t>(out, 1), ref::grain(in * out),
               [&](int64_t begin, int64_t end) {
                 std::vector<double> sum(out);
                 for (int64_t row = begin; row < end; ++row) {
                   for (int64_t o = 0; o < out; ++o) sum[o] = b ? b[o] : 0;
                   for (int64_t i = 0; i < in; ++i) {
                     const double value = from[row * in + i];
                     for (int64_t o = 0; o < out; ++o) sum[o] += value * weight[i * out + o];
                   }
                   std::copy(sum.begin(), sum.end(), to + row * out);
                 }
               });
}

void RefBackend::run(const op::LinearBackwardData& o) {
  const int64_t in = o.w.size(0), out = o.w.size(1);
  const float *grad = o.dy.f32(), *weight = o.w.f32();
  float* to = o.dx.f32();
  parallel_for(o.dx.elements() / std::max<int64_t>(in, 1), ref::grain(in * out),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   for (int64_t i = 0; i < in; ++i) {
                     double sum = 0;
                     for (int64_t o = 0; o < out; ++o)
                       sum += double{grad[row * out + o]} * weight[i * out + o];
                     to[row * in + i] = static_cast<float>(sum);
                   }
                 }
               });
}

void RefBackend::run(const op::LinearBackwardWeights& o) {
  const int64_t in = o.dw.size(0), out = o.dw.size(1);
  const int64_t rows = o.x.elements() / std::max<int64_t>(in, 1);
  const float *from = o.x.f32(), *grad = o.dy.f32();
  float* to = o.dw.f32();
  parallel_for(in, ref::grain(rows * out), [&](int64_t begin, int64_t end) {
    std::vector<double> sum(out);
    for (int64_t i = begin; i < end; ++i) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t row = 0; row < rows; ++row) {
        const double value = from[row * in + i];
        for (int64_t o = 0; o < out; ++o) sum[o] += value * grad[row * out + o];
      }
      std::copy(sum.begin(), sum.end(), to + i * out);
    }
  });
  if (o.dbias) {
    std::vector<double> sum(out);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t o = 0; o < out; ++o) sum[o] += grad[row * out + o];
    }
    std::copy(sum.begin(), sum.end(), o.dbias->f32());
  }
}

}  // namespace ddpm
