#include "ddpm/diffusion/samplers/clip.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

// The value below which the share of the sorted values lies, interpolated between its neighbours.
float quantile(std::vector<float> values, double share) {
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(std::floor(place));
  const auto at = values.begin() + below;
  std::nth_element(values.begin(), at, values.end());
  const float low = *at;
  if (at + 1 == values.end()) return low;
  const float high = *std::min_element(at + 1, values.end());
  return static_cast<float>(std::lerp(low, high, place - std::floor(place)));
}

// Saharia et al. 2022 (arXiv:2205.11487), section 2.3: with s the 99.5th percentile of an image's
// absolute values, at least 1, its values are cut off at -s and s and divided by s.
void clip_dynamically(Tensor& x0) {
  constexpr double kShare = 0.995;
  const Tensor values = x0.to(Device::kCpu);
  const int64_t size = values.elements() / values.size(0);
  std::vector<float> factors;
  for (int64_t n = 0; n < values.size(0); ++n) {
    std::vector<float> image(values.f32() + n * size, values.f32() + (n + 1) * size);
    for (float& value : image) value = std::abs(value);
    factors.push_back(1 / std::max(quantile(std::move(image), kShare), 1.0f));
  }
  Backend& backend = backend_for(x0.device());
  backend.run(op::Combine{.inputs = {&x0}, .coefficients = {factors}, .y = x0});
  backend.run(op::Clamp{.low = -1, .high = 1, .x = x0});
}

}  // namespace

void clip_estimate(const std::string& how, Tensor& x0) {
  if (how == "static") backend_for(x0.device()).run(op::Clamp{.low = -1, .high = 1, .x = x0});
  if (how == "dynamic") clip_dynamically(x0);
}

}  // namespace ddpm
