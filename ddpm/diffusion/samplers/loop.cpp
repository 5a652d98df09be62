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
#include "ddpm/diffusion/sampler_kind.h"
#include "ddpm/diffusion/samplers/clip.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

SampleLoop::SampleLoop(const Process& process, std::vector<NoiseStep> steps,
                       const Denoiser& network, const SampleRequest& request)
    : process_(process),
      kind_(find_sampler(request.sampling.sampler)),
      steps_(std::move(steps)),
      network_(network),
      request_(request),
      churn_(parse_churn(request.sampling.churn)) {}

// If the spacing leaves the last time steps out, x at the first level is not noise alone. Variance
// 1 is then closer to it than sigma^2.
Tensor SampleLoop::start() {
  Tensor x = next_noise(0);
  const NoiseLevel& first = steps_.front().from;
  const bool by_sigma = process_.kind() != ProcessKind::kScheduled ||
                        (kind_.starts_at_sigma && request_.sampling.spacing != "leading");
  if (by_sigma && first.sigma_squared != 1) sum({{&x, first.sigma()}}, x);
  call_progress(nullptr, x);
  return x;
}

Tensor SampleLoop::next_noise(uint64_t stream) {
  const auto draw = static_cast<size_t>(drawn_++);
  if (request_.noise.empty()) {
    return noise_of(request_.image_seeds, stream, process_.offset_noise(), request_.image,
                    request_.device);
  }
  DDPM_CHECK(draw < request_.noise.size());
  return request_.noise[draw].clone();
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
  clip_estimate(request_.sampling.clip, x0);
  if (network_.takes_estimate()) estimate_ = x0;
  return x0;
}

Tensor SampleLoop::predict_noise(const Tensor& x, const Tensor& x0, const NoiseLevel& level) const {
  Tensor noise(x.shape(), DType::kFloat32, request_.device);  // [N, H, W, C]
  sum({{&x, 1 / level.sigma()}, {&x0, -level.alpha() / level.sigma()}}, noise);
  return noise;
}

Tensor SampleLoop::noise_of_step(const NoiseStep& step) { return next_noise(step.stream); }

void SampleLoop::advance(const NoiseStep& step, std::vector<Term> terms, double from_noise,
                         const Tensor& x0, Tensor& x) {
  Tensor noise;  // [N, H, W, C]
  if (from_noise != 0) {
    noise = noise_of_step(step);
    terms.push_back({&noise, from_noise});
  }
  sum(terms, x);
  report(x0, x);
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
  sum(terms, x);
  report(x0, x);
}

void SampleLoop::report(const Tensor& x0, const Tensor& x) {
  ++done_;
  call_progress(&x0, x);
}

void SampleLoop::call_progress(const Tensor* x0, const Tensor& x) const {
  const int64_t steps = request_.sampling.steps;
  if (request_.progress && !request_.progress({done_, steps, &x, x0}))
    fail("sample", fmt::format("cancelled after step {} of {}", done_, steps));
}

}  // namespace ddpm
