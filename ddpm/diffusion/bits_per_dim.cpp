#include "ddpm/diffusion/bits_per_dim.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/noised_batch.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/kernels/backend.h"
#include "ddpm/kernels/variational_bound.h"

namespace ddpm {
namespace {

constexpr double kHalfBin = 1.0 / 255;

// The mass of a normal distribution between two points.
double mass_between(double lower, double upper) {
  const double root = std::numbers::sqrt2;
  if (lower > 0) return (std::erfc(lower / root) - std::erfc(upper / root)) / 2;
  if (upper < 0) return (std::erfc(-upper / root) - std::erfc(-lower / root)) / 2;
  return (std::erf(upper / root) - std::erf(lower / root)) / 2;
}

// Minus the logarithm of the mass of the bin of x0. `apart` is x0 minus the mean.
double decoder_nats(double x0, double apart, double log_variance) {
  constexpr double kLeast = 1e-280, kEdge = 0.999;
  const double scale = std::exp(-log_variance / 2);
  const double lower = x0 < -kEdge ? -INFINITY : scale * (apart - kHalfBin);
  const double upper = x0 > kEdge ? INFINITY : scale * (apart + kHalfBin);
  const double mass = mass_between(lower, upper);
  if (mass > kLeast) return -std::log(mass);
  // So far in the tail that double holds no mass: the density at the nearest edge times the width.
  const double z = apart > 0 ? scale * (apart - kHalfBin) : scale * (apart + kHalfBin);
  return z * z / 2 + std::log(2 * std::numbers::pi) / 2 - std::log(2 * kHalfBin * scale);
}

// From the most noise to the image, at every time step.
std::vector<NoiseStep> all_steps(const Process& process) {
  std::vector<NoiseStep> steps;
  for (int64_t i = process.most_steps() - 1; i >= 0; --i) {
    const auto time = static_cast<double>(i);
    const NoiseLevel to = i == 0 ? NoiseLevel{} : process.at_time(time - 1);
    steps.push_back(step_between(process.at_time(time), to, 0));
  }
  return steps;
}

// How large the divergence of a step is likely to be. With the posterior's variance it is half the
// difference of the signal-to-noise ratios times the squared error of the estimate, and that error
// is at most about 1, and at most the noise: sigma^2 / alpha^2.
double likely_size(const NoiseStep& step) {
  const double from = step.from.alpha_squared / step.from.sigma_squared;
  const double to = step.to.alpha_squared / step.to.sigma_squared;
  return (to - from) / std::max(from, 1.0);
}

// A step of the sum, and how often it counts.
struct Term {
  size_t step = 0;
  double weight = 1;
};

// The bound of the steps of one process.
class Bound {
 public:
  Bound(const Process& process, const Denoiser& denoiser, const Tensor& x0,
        const BitsOptions& options)
      : process_(process),
        denoiser_(denoiser),
        x0_(x0),
        options_(options),
        steps_(all_steps(process)),
        seeds_(image_seeds(options.seed, options.first, x0.size(0))),
        nats_(seeds_.size()) {
    for (size_t i = 0; i + 1 < steps_.size(); ++i)
      sums_.push_back((sums_.empty() ? 0 : sums_.back()) + likely_size(steps_[i]));
  }

  std::vector<double> bits() {
    add_prior();
    const size_t between = steps_.size() - 1;  // the step to the image comes after these
    add_terms(std::vector<Term>(nats_.size(), {.step = between}), 0);
    const auto asked = static_cast<size_t>(options_.steps);
    if (asked == 0 || asked >= between) {
      for (size_t step = 0; step < between; ++step)
        add_terms(std::vector<Term>(nats_.size(), {.step = step}), 1 + step);
    } else {
      for (size_t part = 0; part < asked; ++part) add_terms(drawn(part, asked), 1 + part);
    }
    const int64_t values = x0_.elements() / x0_.size(0);
    std::vector<double> bits;
    for (const double nats : nats_)
      bits.push_back(nats / static_cast<double>(values) / std::numbers::ln2);
    return bits;
  }

 private:
  // Divergence of N(alpha x0, sigma^2) from N(0, 1).
  void add_prior() {
    const NoiseLevel& level = steps_.front().from;
    const double spread = level.sigma_squared - 1 - std::log(level.sigma_squared);
    const int64_t size = x0_.elements() / x0_.size(0);
    for (size_t n = 0; n < nats_.size(); ++n) {
      const float* x = x0_.f32() + static_cast<int64_t>(n) * size;
      for (int64_t i = 0; i < size; ++i)
        nats_[n] += (spread + level.alpha_squared * double{x[i]} * double{x[i]}) / 2;
    }
  }

  // One step for each picture, drawn from this part of all steps.
  std::vector<Term> drawn(size_t part, size_t parts) const {
    // Streams below this number are those of noise.
    constexpr uint64_t kChoice = uint64_t{1} << 40;
    const double share = sums_.back() / static_cast<double>(parts);
    std::vector<Term> terms;
    for (const uint64_t seed : seeds_) {
      const double place = static_cast<double>(part) + double{Philox(seed, kChoice).uniform(part)};
      const auto found = std::upper_bound(sums_.begin(), sums_.end() - 1, place * share);
      const auto step = static_cast<size_t>(found - sums_.begin());
      const double size = sums_[step] - (step > 0 ? sums_[step - 1] : 0);
      terms.push_back({.step = step, .weight = share / size});
    }
    return terms;
  }

  // Standard normal, for each picture from a stream of its own.
  Tensor noise(uint64_t stream) const {
    return noise_of(seeds_, stream, 0, {x0_.size(1), x0_.size(2), x0_.size(3)}, x0_.device());
  }

  // The variances between which a network that learns them chooses. The step to the image has no
  // variance of its own, and takes that of the step before.
  BoundLevel level_of(size_t i) const {
    const NoiseStep& step = steps_[i];
    const NoiseStep& varied = i + 1 == steps_.size() && i > 0 ? steps_[i - 1] : step;
    const double low = varied.posterior_variance();
    return {.scale = step.posterior_x0(),
            .log_low = std::log(low > 0 ? low : step.added),
            .log_high = std::log(step.added),
            .to_image = i + 1 == steps_.size()};
  }

  // Adds terms[n] for picture n.
  void add_terms(const std::vector<Term>& terms, uint64_t stream) {
    std::vector<NoiseLevel> levels;
    for (const Term& term : terms) levels.push_back(steps_[term.step].from);
    const NoisedBatch batch = noised_batch(process_, levels, x0_, noise(stream));
    const Tensor zeros =
        denoiser_.takes_estimate() ? Tensor::zeros(x0_.shape(), x0_.device()) : Tensor();
    const Tensor output = denoiser_(batch.input, batch.t, zeros);
    const Tensor estimate = estimate_of(batch, output).to(Device::kCpu);  // [N, H, W, C]
    const Tensor variance = variance_of(output);                          // the same, or none
    const Tensor pictures = x0_.to(Device::kCpu);
    const int64_t size = x0_.elements() / x0_.size(0);
    for (size_t n = 0; n < terms.size(); ++n) {
      const BoundLevel level = level_of(terms[n].step);
      const int64_t begin = static_cast<int64_t>(n) * size;
      double sum = 0;
      for (int64_t i = begin; i < begin + size; ++i) {
        const double x = pictures.f32()[i];
        const double apart = level.scale * (x - double{estimate.f32()[i]});
        const double v = variance.defined() ? double{variance.f32()[i]} : -1;
        sum += level.to_image ? decoder_nats(x, apart, log_variance(level, v))
                              : divergence(level, apart, v).nats;
      }
      nats_[n] += terms[n].weight * sum;
    }
  }

  Tensor variance_of(const Tensor& output) const {
    if (!process_.learned_variance()) return {};
    Tensor mean(x0_.shape(), DType::kFloat32, x0_.device()), variance = mean.clone();
    backend_for(x0_.device()).run(op::SplitChannels{.y = output, .a = &mean, .b = &variance});
    return variance.to(Device::kCpu);
  }

  const Process& process_;
  const Denoiser& denoiser_;
  const Tensor& x0_;  // [N, H, W, C]
  const BitsOptions& options_;
  const std::vector<NoiseStep> steps_;
  const std::vector<uint64_t> seeds_;
  // The sums of likely_size() up to each step, without the step to the image.
  std::vector<double> sums_;
  std::vector<double> nats_;
};

}  // namespace

void check_has_bound(const ProcessConfig& config) {
  if (find_objective(config.objective).process != ProcessKind::kScheduled) {
    fail_usage("bits", fmt::format("the objective {} has no variational bound; only models of eps, "
                                   "x0 and v have one. Leave out --bits",
                                   config.objective));
  }
  if (config.offset_noise > 0) {
    fail_usage("bits",
               "the model was trained with offset noise, for which the bound does not hold; "
               "leave out --bits");
  }
}

std::vector<double> bits_per_dim(const Process& process, const Denoiser& denoiser, const Tensor& x0,
                                 const BitsOptions& options) {
  if (x0.shape().rank() != 4 || x0.size(0) < 1) {
    fail("bits", fmt::format("pictures of shape {}; they must be [N, H, W, C]", x0.shape().str()));
  }
  return Bound(process, denoiser, x0, options).bits();
}

}  // namespace ddpm
