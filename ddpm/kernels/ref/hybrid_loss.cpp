// The loss of networks that predict their variance, and the noise of that variance. Each image is
// summed by one thread. The sums of the images are added in order.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/loss_functions.h"
#include "ddpm/kernels/ref/ref_backend.h"
#include "ddpm/kernels/variational_bound.h"

namespace ddpm {
namespace {

// Calls element(n, mean, variance, i) for every element i of target and x0. mean and variance are
// the indices of its two outputs.
template <class Element>
void for_each_image(const Tensor& target, Element element) {
  const int64_t images = target.size(0), channels = target.size(3);
  const int64_t size = target.elements() / std::max<int64_t>(images, 1);
  parallel_for(images, ref::grain(256 * size), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * size; i < end * size; ++i) {
      const int64_t mean = i / channels * 2 * channels + i % channels;
      element(static_cast<size_t>(i / size), mean, mean + channels, i);
    }
  });
}

}  // namespace

void RefBackend::run(const op::HybridLoss& o) {
  const float *output = o.output.f32(), *target = o.target.f32(), *x0 = o.x0.f32();
  std::vector<double> sums(o.levels.size());
  for_each_image(o.target, [&](size_t n, int64_t mean, int64_t variance, int64_t i) {
    const double difference = double{target[i]} - output[mean];
    const double weight = o.weights ? o.weights->f32()[n] : 1;
    sums[n] +=
        weight * ref::loss_at(o.kind, -difference) +
        o.bound_weight * variational_bound(o.levels[n], difference, output[variance], x0[i]).bits;
  });
  double sum = 0;
  for (const double one : sums) sum += one;
  o.mean = sum / static_cast<double>(o.target.elements());
}

void RefBackend::run(const op::HybridLossBackward& o) {
  const float *output = o.output.f32(), *target = o.target.f32(), *x0 = o.x0.f32();
  const double share = 1 / static_cast<double>(o.target.elements());
  float* to = o.doutput.f32();
  for_each_image(o.target, [&](size_t n, int64_t mean, int64_t variance, int64_t i) {
    const double difference = double{target[i]} - output[mean];
    const double weight = o.weights ? o.weights->f32()[n] : 1;
    const BoundTerm bound = variational_bound(o.levels[n], difference, output[variance], x0[i]);
    to[mean] = static_cast<float>(share * weight * ref::slope_at(o.kind, -difference));
    to[variance] = static_cast<float>(share * o.bound_weight * bound.slope);
  });
}

void RefBackend::run(const op::ScaleByDeviation& o) {
  const BoundLevel level{.log_low = o.log_low, .log_high = o.log_high};
  const float* v = o.v.f32();
  float* to = o.x.f32();
  parallel_for(o.x.elements(), ref::grain(32), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      to[i] = static_cast<float>(to[i] * std::exp(log_variance(level, v[i]) / 2));
  });
}

}  // namespace ddpm
