// Activations, sums and clamping, element by element.

#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"
#include "ddpm/kernels/ref/scalar_functions.h"

namespace ddpm {
namespace {

template <class Function>
void for_each_element(const Tensor& like, Function&& function) {
  parallel_for(like.elements(), ref::grain(32), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) function(i);
  });
}

}  // namespace

void RefBackend::activation(Activation kind, const Tensor& x, Tensor& y) {
  const float* from = x.f32();
  float* to = y.f32();
  for_each_element(x, [&](int64_t i) {
    to[i] = static_cast<float>(kind == Activation::kSilu ? ref::silu(from[i]) : ref::gelu(from[i]));
  });
}

void RefBackend::activation_backward(Activation kind, const Tensor& dy, const Tensor& x,
                                     Tensor& dx) {
  const float *grad = dy.f32(), *from = x.f32();
  float* to = dx.f32();
  for_each_element(x, [&](int64_t i) {
    const double slope =
        kind == Activation::kSilu ? ref::silu_slope(from[i]) : ref::gelu_slope(from[i]);
    to[i] = static_cast<float>(grad[i] * slope);
  });
}

void RefBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  const float *left = a.f32(), *right = b.f32();
  float* to = y.f32();
  for_each_element(y, [&](int64_t i) { to[i] = left[i] + right[i]; });
}

void RefBackend::combine(const std::vector<const Tensor*>& inputs,
                         const std::vector<std::vector<float>>& coefficients, Tensor& y) {
  const int64_t images = y.size(0), size = y.elements() / std::max<int64_t>(images, 1);
  float* to = y.f32();
  for_each_element(y, [&](int64_t i) {
    double sum = 0;
    for (size_t term = 0; term < inputs.size(); ++term) {
      sum += double{coefficients[term][i / size]} * inputs[term]->f32()[i];
    }
    to[i] = static_cast<float>(sum);
  });
}

void RefBackend::clamp(float low, float high, Tensor& x) {
  float* values = x.f32();
  // std::max and std::min return their first argument where a comparison is false, so NaN stays.
  for_each_element(x, [&](int64_t i) { values[i] = std::min(std::max(values[i], low), high); });
}

}  // namespace ddpm
