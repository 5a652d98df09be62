// Matrix products by their formula, in double.

#include <algorithm>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

void RefBackend::linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) {
  const int64_t in = w.size(0), out = w.size(1);
  const float *from = x.f32(), *weight = w.f32(), *b = bias ? bias->f32() : nullptr;
  float* to = y.f32();
  parallel_for(y.elements() / std::max<int64_t>(out, 1), ref::grain(in * out),
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

void RefBackend::linear_backward_data(const Tensor& dy, const Tensor& w, Tensor& dx) {
  const int64_t in = w.size(0), out = w.size(1);
  const float *grad = dy.f32(), *weight = w.f32();
  float* to = dx.f32();
  parallel_for(dx.elements() / std::max<int64_t>(in, 1), ref::grain(in * out),
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

void RefBackend::linear_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw,
                                         Tensor* dbias) {
  const int64_t in = dw.size(0), out = dw.size(1);
  const int64_t rows = x.elements() / std::max<int64_t>(in, 1);
  const float *from = x.f32(), *grad = dy.f32();
  float* to = dw.f32();
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
  if (dbias) {
    std::vector<double> sum(out);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t o = 0; o < out; ++o) sum[o] += grad[row * out + o];
    }
    std::copy(sum.begin(), sum.end(), dbias->f32());
  }
}

}  // namespace ddpm
