// Every computation on pixels is a backend operation with one coefficient per image. The host
// computes only scalars.
#include "ddpm/diffusion/samplers/loop.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Tensor SampleLoop::start() const {
  Tensor x =
      initial_noise(request_.image_seeds, request_.image, request_.device, process_.offset_noise());
  const double scale = process_.start_scale(steps_.front().from);
  if (scale != 1) sum({{&x, scale}}, x);
  return x;
}

void SampleLoop::sum(const std::vector<Term>& terms, Tensor& out) const {
  constexpr size_t kAtOnce = 3;
  const auto images = static_cast<size_t>(out.size(0));
  std::vector<const Tensor*> inputs;
  std::vector<std::vector<float>> factors;
  for (size_t i = 0; i < terms.size(); ++i) {
    inputs.push_back(terms[i].tensor);
    factors.emplace_back(images, static_cast<float>(terms[i].factor));
    if (inputs.size() < kAtOnce && i + 1 < terms.size()) continue;
    backend_for(request_.device)
        .run(op::Combine{.inputs = inputs, .coefficients = factors, .y = out});
    inputs = {&out};
    factors = {std::vector<float>(images, 1.0f)};
  }
}

Tensor SampleLoop::output_of(const Tensor& x, const NoiseLevel& level) {
  const Tensor t = Tensor::full({x.size(0)}, static_cast<float>(level.t), request_.device);
  if (network_.takes_estimate() && !estimate_.defined()) {
    estimate_ = Tensor::full(x.shape(), 0, request_.device);
  }
  const Tensor output = network_(x, t, estimate_);
  const int64_t channels = x.size(3) * (process_.learned_variance() ? 2 : 1);
  const Shape wanted = {x.size(0), x.size(1), x.size(2), channels};
  if (!output.defined() || output.shape() != wanted) {
    fail("sample", fmt::format("the network returned {} for images {}; it must return {}",
                               output.shape().str(), x.shape().str(), wanted.str()));
  }
  if (!process_.learned_variance()) return output;
  Tensor mean(x.shape(), DType::kFloat32, request_.device);  // [N, H, W, C]
  variance_ = Tensor(x.shape(), DType::kFloat32, request_.device);
  backend_for(request_.device).run(op::SplitChannels{.y = output, .a = &mean, .b = &variance_});
  return mean;
}

Tensor SampleLoop::predict_x0(const Tensor& x, const NoiseLevel& level) {
  const Preconditioning p = process_.preconditioning(level);
  Tensor scaled = x;  // [N, H, W, C]
  if (p.c_in != 1) {
    scaled = Tensor(x.shape(), DType::kFloat32, request_.device);
    sum({{&x, p.c_in}}, scaled);
  }
  const Tensor output = output_of(scaled, level);  // [N, H, W, C]
  std::vector<Term> terms = {{&output, p.c_out}};
  if (p.c_skip != 0) terms.insert(terms.begin(), {&x, p.c_skip});
  Tensor x0(x.shape(), DType::kFloat32, request_.device);
  sum(terms, x0);
  if (request_.clip) backend_for(request_.device).run(op::Clamp{.low = -1, .high = 1, .x = x0});
  if (network_.takes_estimate()) estimate_ = x0;
  return x0;
}

Tensor SampleLoop::predict_noise(const Tensor& x, const Tensor& x0, const NoiseLevel& level) const {
  Tensor noise(x.shape(), DType::kFloat32, request_.device);  // [N, H, W, C]
  sum({{&x, 1 / level.sigma()}, {&x0, -level.alpha() / level.sigma()}}, noise);
  return noise;
}

Tensor SampleLoop::noise_of_step(const NoiseStep& step) const {
  return noise_of(request_.image_seeds, step.stream, process_.offset_noise(), request_.image,
                  request_.device);
}

void SampleLoop::advance(const NoiseStep& step, std::vector<Term> terms, double from_noise,
                         const Tensor& x0, Tensor& x) {
  Tensor noise;  // [N, H, W, C]
  if (from_noise != 0) {
    noise = noise_of_step(step);
    terms.push_back({&noise, from_noise});
  }
  end_step(terms, x0, x);
}

void SampleLoop::advance_by_variance(const NoiseStep& step, std::vector<Term> terms,
                                     const Tensor& x0, Tensor& x) {
  const double variance = step.posterior_variance();
  if (!process_.learned_variance() || variance == 0) {
    return advance(step, std::move(terms), std::sqrt(variance), x0, x);
  }
  Tensor noise = noise_of_step(step);  // [N, H, W, C]
  backend_for(request_.device)
      .run(op::ScaleByDeviation{.log_low = std::log(variance),
                                .log_high = std::log(step.added),
                                .v = variance_,
                                .x = noise});
  terms.push_back({&noise, 1});
  end_step(terms, x0, x);
}

void SampleLoop::end_step(const std::vector<Term>& terms, const Tensor& x0, Tensor& x) {
  sum(terms, x);
  ++done_;
  const auto steps = static_cast<int64_t>(steps_.size());
  if (request_.progress && !request_.progress({done_, steps, &x, &x0})) {
    fail("sample", fmt::format("cancelled after step {} of {}", done_, steps));
  }
}

}  // namespace ddpm
