#include "ddpm/diffusion/guidance.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
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

// worse + scale (better - worse), all [N, H, W, C].
Tensor guide(const Tensor& better, const Tensor& worse, const Guidance& guidance) {
  const auto count = static_cast<size_t>(better.size(0));
  Tensor output(better.shape(), DType::kFloat32, better.device());
  const auto combine = [&](const std::vector<const Tensor*>& inputs,
                           const std::vector<std::vector<float>>& coefficients) {
    backend_for(output.device())
        .run(op::Combine{.inputs = inputs, .coefficients = coefficients, .y = output});
  };
  const auto all = [&](double factor) {
    return std::vector<float>(count, static_cast<float>(factor));
  };
  combine({&better, &worse}, {all(guidance.scale), all(1 - guidance.scale)});
  if (guidance.rescale == 0) return output;
  const std::vector<double> wanted = deviations(better), is = deviations(output);
  std::vector<float> factors = all(1);
  for (size_t n = 0; n < factors.size(); ++n) {
    if (is[n] == 0) continue;
    factors[n] = static_cast<float>(1 + guidance.rescale * (wanted[n] / is[n] - 1));
  }
  combine({&output}, {factors});
  return output;
}

// The first `channels` of [N, H, W, C or 2 C]. The others go to `variance` if it is not null.
Tensor first_half(const Tensor& output, int64_t channels, Tensor* variance = nullptr) {
  if (output.size(3) == channels) return output;
  const Shape half{output.size(0), output.size(1), output.size(2), channels};
  Tensor mean(half, DType::kFloat32, output.device());
  if (variance != nullptr) *variance = Tensor(half, DType::kFloat32, output.device());
  backend_for(output.device()).run(op::SplitChannels{.y = output, .a = &mean, .b = variance});
  return mean;
}

// The same for outputs for images [N, H, W, C] that may have a variance as their second half. It
// stays that of the better one: with a larger scale, a variance would leave its range.
Tensor guide_mean(const Tensor& x, const Tensor& better, const Tensor& worse,
                  const Guidance& guidance) {
  Tensor variance;
  const Tensor mean = first_half(better, x.size(3), &variance);
  const Tensor guided_mean = guide(mean, first_half(worse, x.size(3)), guidance);
  if (!variance.defined()) return guided_mean;
  Tensor output(better.shape(), DType::kFloat32, better.device());
  backend_for(better.device())
      .run(op::ConcatChannels{.a = guided_mean, .b = variance, .y = output});
  return output;
}

// Throws Error unless the output is [N, H, W, C or 2 C] for x [N, H, W, C].
void check_output(const Tensor& output, const Tensor& x) {
  const bool fits = output.defined() && output.shape().rank() == 4 && output.size(0) == x.size(0) &&
                    output.size(1) == x.size(1) && output.size(2) == x.size(2) &&
                    (output.size(3) == x.size(3) || output.size(3) == 2 * x.size(3));
  if (fits) return;
  fail("sample",
       fmt::format("a network returned {} for images {}", output.shape().str(), x.shape().str()));
}

// A denoiser with or without the third argument.
template <class Run>
Denoiser denoiser_of(bool takes_estimate, const Run& run) {
  if (takes_estimate) return run;
  return [run](const Tensor& x, const Tensor& t) { return run(x, t, {}); };
}

// Calls a denoiser with the estimate if it takes one.
Tensor call(const Denoiser& denoiser, const Tensor& x, const Tensor& t, const Tensor& estimate) {
  return denoiser(x, t, denoiser.takes_estimate() ? estimate : Tensor{});
}

// A bound of the interval. Returns false unless the text is a number that is not negative.
bool read_bound(std::string_view text, double& bound) {
  if (text == "inf") {
    bound = std::numeric_limits<double>::infinity();
    return true;
  }
  const auto read = std::from_chars(text.data(), text.data() + text.size(), bound);
  return read.ec == std::errc() && read.ptr == text.data() + text.size() && bound >= 0 &&
         std::isfinite(bound);
}

}  // namespace

bool Guidance::guides_at(double ratio) const {
  constexpr double kRounding = 1e-5;
  return ratio >= low * (1 - kRounding) && ratio <= high * (1 + kRounding);
}

void read_guidance_interval(const std::string& text, Guidance& guidance) {
  if (text.empty()) return;
  const std::string_view words = text;
  const size_t comma = std::min(words.find(','), words.size());
  double low = 0, high = 0;
  const bool read = comma < words.size() && read_bound(words.substr(0, comma), low) &&
                    read_bound(words.substr(comma + 1), high);
  if (!read || low >= high) {
    fail_usage("sample",
               fmt::format("guidance-interval is '{}'; it must be LO,HI with 0 <= LO < HI, the "
                           "least and the most noise (sigma / alpha) that is guided, such as "
                           "0.2,3 or 0.5,inf",
                           text));
  }
  guidance.low = low;
  guidance.high = high;
}

Denoiser guided(const Denoiser& both, const Guidance& guidance) {
  return denoiser_of(both.takes_estimate(), [both, guidance](const Tensor& x, const Tensor& t,
                                                             const Tensor& estimate) {
    const int64_t count = x.size(0);
    const Tensor outputs = both(twice(x), twice(t), twice(estimate));  // [2N, H, W, C or 2 C]
    if (!outputs.defined() || outputs.size(0) != 2 * count) {
      fail("sample",
           fmt::format("the network returned {} for {} images", outputs.shape().str(), 2 * count));
    }
    return guide_mean(x, outputs.rows(0, count), outputs.rows(count, 2 * count), guidance);
  });
}

Denoiser guided(const Denoiser& better, const Denoiser& worse, const Guidance& guidance) {
  return denoiser_of(
      better.takes_estimate() || worse.takes_estimate(),
      [better, worse, guidance](const Tensor& x, const Tensor& t, const Tensor& estimate) {
        const Tensor wanted = call(better, x, t, estimate), avoided = call(worse, x, t, estimate);
        check_output(wanted, x);
        check_output(avoided, x);
        return guide_mean(x, wanted, avoided, guidance);
      });
}

Denoiser guided_where(std::function<bool(double t)> guides, const Denoiser& inside,
                      const Denoiser& outside) {
  return denoiser_of(inside.takes_estimate() || outside.takes_estimate(),
                     [guides = std::move(guides), inside, outside](const Tensor& x, const Tensor& t,
                                                                   const Tensor& estimate) {
                       const bool guided = guides(double{t.to(Device::kCpu).f32()[0]});
                       return call(guided ? inside : outside, x, t, estimate);
                     });
}

}  // namespace ddpm
