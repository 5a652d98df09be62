#include "ddpm/diffusion/guidance.h"

#include <fmt/core.h>

#include <cmath>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

// The standard deviation of the values of each image.
std::vector<double> deviations(const Tensor& images) {
  const Tensor values = images.to(Device::kCpu);
  const int64_t size = values.elements() / values.size(0);
  std::vector<double> result;
  for (int64_t n = 0; n < values.size(0); ++n) {
    const float* image = values.f32() + n * size;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < size; ++i) sum += image[i];
    const double mean = sum / static_cast<double>(size);
    for (int64_t i = 0; i < size; ++i) squares += (image[i] - mean) * (image[i] - mean);
    result.push_back(std::sqrt(squares / static_cast<double>(size)));
  }
  return result;
}

// x once, then once more: [N, ...] -> [2N, ...]. Undefined if x is.
Tensor twice(const Tensor& x) {
  if (!x.defined()) return {};
  std::vector<int64_t> extents(x.shape().begin(), x.shape().end());
  extents[0] *= 2;
  Tensor both(Shape(extents.data(), x.shape().rank()), DType::kFloat32, x.device());
  for (const int64_t begin : {int64_t{0}, x.size(0)}) {
    Tensor half = both.rows(begin, begin + x.size(0));
    half.copy_from(x);
  }
  return both;
}

// none + scale (classed - none), all [N, H, W, C].
Tensor guide(const Tensor& classed, const Tensor& none, const Guidance& guidance) {
  const auto count = static_cast<size_t>(classed.size(0));
  Tensor output(classed.shape(), DType::kFloat32, classed.device());
  const auto combine = [&](const std::vector<const Tensor*>& inputs,
                           const std::vector<std::vector<float>>& coefficients) {
    backend_for(output.device())
        .run(op::Combine{.inputs = inputs, .coefficients = coefficients, .y = output});
  };
  const auto all = [&](double factor) {
    return std::vector<float>(count, static_cast<float>(factor));
  };
  combine({&classed, &none}, {all(guidance.scale), all(1 - guidance.scale)});
  if (guidance.rescale == 0) return output;
  const std::vector<double> wanted = deviations(classed), is = deviations(output);
  std::vector<float> factors = all(1);
  for (size_t n = 0; n < factors.size(); ++n) {
    if (is[n] == 0) continue;
    factors[n] = static_cast<float>(1 + guidance.rescale * (wanted[n] / is[n] - 1));
  }
  combine({&output}, {factors});
  return output;
}

// The same for outputs [N, H, W, 2 C] whose second half is a variance. It stays that of the class:
// with a larger scale, a variance would leave its range.
Tensor guide_first_half(const Tensor& classed, const Tensor& none, const Guidance& guidance) {
  const Shape& both = classed.shape();
  const Shape half{both[0], both[1], both[2], both[3] / 2};
  Backend& backend = backend_for(classed.device());
  const auto empty = [&] { return Tensor(half, DType::kFloat32, classed.device()); };
  Tensor mean = empty(), variance = empty(), mean_of_none = empty();
  backend.run(op::SplitChannels{.y = classed, .a = &mean, .b = &variance});
  backend.run(op::SplitChannels{.y = none, .a = &mean_of_none});
  const Tensor guided_mean = guide(mean, mean_of_none, guidance);
  Tensor output(both, DType::kFloat32, classed.device());
  backend.run(op::ConcatChannels{.a = guided_mean, .b = variance, .y = output});
  return output;
}

}  // namespace

Denoiser guided(const Denoiser& both, const Guidance& guidance) {
  const auto run = [both, guidance](const Tensor& x, const Tensor& t, const Tensor& estimate) {
    const int64_t count = x.size(0);
    const Tensor outputs = both(twice(x), twice(t), twice(estimate));  // [2N, H, W, C or 2 C]
    if (!outputs.defined() || outputs.size(0) != 2 * count) {
      fail("sample",
           fmt::format("the network returned {} for {} images", outputs.shape().str(), 2 * count));
    }
    const Tensor classed = outputs.rows(0, count), none = outputs.rows(count, 2 * count);
    const bool has_variance = classed.size(3) == 2 * x.size(3);
    return has_variance ? guide_first_half(classed, none, guidance)
                        : guide(classed, none, guidance);
  };
  if (both.takes_estimate()) return run;
  return [run](const Tensor& x, const Tensor& t) { return run(x, t, {}); };
}

}  // namespace ddpm
