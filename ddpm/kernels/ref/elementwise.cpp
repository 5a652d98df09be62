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

void RefBackend::run(const op::Activate& o) {
  const float* from = o.x.f32();
  float* to = o.y.f32();
  for_each_element(o.x, [&](int64_t i) {
    to[i] =
        static_cast<float>(o.kind == Activation::kSilu ? ref::silu(from[i]) : ref::gelu(from[i]));
  });
}

void RefBackend::run(const op::ActivateBackward& o) {
  const float *grad = o.dy.f32(), *from = o.x.f32();
  float* to = o.dx.f32();
  for_each_element(o.x, [&](int64_t i) {
    const double slope =
        o.kind == Activation::kSilu ? ref::silu_slope(from[i]) : ref::gelu_slope(from[i]);
    to[i] = static_cast<float>(grad[i] * slope);
  });
}

void RefBackend::run(const op::Add& o) {
  const float *left = o.a.f32(), *right = o.b.f32();
  float* to = o.y.f32();
  for_each_element(o.y, [&](int64_t i) { to[i] = left[i] + right[i]; });
}

void RefBackend::run(const op::Combine& o) {
  const int64_t images = o.y.size(0), size = o.y.elements() / std::max<int64_t>(images, 1);
  float* to = o.y.f32();
  for_each_element(o.y, [&](int64_t i) {
    double sum = 0;
    for (size_t term = 0; term < o.inputs.size(); ++term) {
      sum += double{o.coefficients[term][i / size]} * o.inputs[term]->f32()[i];
    }
    to[i] = static_cast<float>(sum);
  });
}

void RefBackend::run(const op::AddToChannels& o) {
  const int64_t images = o.values.size(0), channels = o.values.size(1);
  const int64_t size = o.x.elements() / std::max<int64_t>(images, 1);
  const float* values = o.values.f32();
  float* to = o.x.f32();
  for_each_element(o.x, [&](int64_t i) {
    const double value = values[i / size * channels + i % channels];
    to[i] = static_cast<float>(to[i] + o.factor * value);
  });
}

void RefBackend::run(const op::Clamp& o) {
  float* values = o.x.f32();
  // std::max and std::min return their first argument where a comparison is false, so NaN stays.
  for_each_element(o.x,
                   [&](int64_t i) { values[i] = std::min(std::max(values[i], o.low), o.high); });
}

}  // namespace ddpm
