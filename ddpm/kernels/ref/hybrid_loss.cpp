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

// Calls image(n, begin, end) for every image: its elements of target and x0.
template <class Image>
void for_each_image(const Tensor& target, Image image) {
  const int64_t images = target.size(0);
  const int64_t size = target.elements() / std::max<int64_t>(images, 1);
  parallel_for(images, ref::grain(256 * size), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) image(static_cast<size_t>(n), n * size, (n + 1) * size);
  });
}

// The index of the output that gives the mean of element i. The one that gives its variance is
// `channels` further.
int64_t mean_of(int64_t i, int64_t channels) { return i / channels * 2 * channels + i % channels; }

template <class Op>
const float* bound_target_of(const Op& o) {
  return o.bound_target ? o.bound_target->f32() : o.target.f32();
}

}  // namespace

void RefBackend::run(const op::HybridLoss& o) {
  const float *output = o.output.f32(), *target = o.target.f32(), *x0 = o.x0.f32();
  const float* bound_target = bound_target_of(o);
  const int64_t channels = o.target.size(3);
  std::vector<double> sums(o.levels.size());
  for_each_image(o.target, [&](size_t n, int64_t begin, int64_t end) {
    const double weight = o.weights ? o.weights->f32()[n] : 1;
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t mean = mean_of(i, channels);
      const double bits = variational_bound(o.levels[n], double{bound_target[i]} - output[mean],
                                            output[mean + channels], x0[i])
                              .bits;
      sum +=
          weight * ref::loss_at(o.kind, double{output[mean]} - target[i]) + o.bound_weight * bits;
    }
    sums[n] = sum;
  });
  double sum = 0;
  for (const double one : sums) sum += one;
  o.mean = sum / static_cast<double>(o.target.elements());
}

void RefBackend::run(const op::HybridLossBackward& o) {
  const float *output = o.output.f32(), *target = o.target.f32(), *x0 = o.x0.f32();
  const float* bound_target = bound_target_of(o);
  const int64_t channels = o.target.size(3);
  const double share = o.upstream / static_cast<double>(o.target.elements());
  float* to = o.doutput.f32();
  for_each_image(o.target, [&](size_t n, int64_t begin, int64_t end) {
    const double weight = o.weights ? o.weights->f32()[n] : 1;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t mean = mean_of(i, channels), variance = mean + channels;
      const double slope = variational_bound(o.levels[n], double{bound_target[i]} - output[mean],
                                             output[variance], x0[i])
                               .slope;
      const double difference = double{output[mean]} - target[i];
      to[mean] = static_cast<float>(share * weight * ref::slope_at(o.kind, difference));
      to[variance] = static_cast<float>(share * o.bound_weight * slope);
    }
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
