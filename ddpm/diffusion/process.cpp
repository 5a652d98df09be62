// The levels of the three kinds of process.
#include "ddpm/diffusion/process.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/diffusion/time_sampling.h"
#include "ddpm/diffusion/training/pairing.h"
#include "ddpm/kernels/arguments.h"

namespace ddpm {

class ProcessLevels {
 public:
  virtual ~ProcessLevels() = default;
  virtual NoiseLevel draw(const Philox& random, uint64_t position) const = 0;
  virtual NoiseLevel at_quantile(double q) const = 0;
  virtual double inverse_density(const NoiseLevel& level) const = 0;
  virtual NoiseLevel noisiest() const = 0;
  virtual NoiseLevel cleanest() const = 0;
  virtual NoiseLevel at_time(double time) const = 0;
  virtual NoiseLevel at_ratio(double ratio) const = 0;
  virtual NoiseLevel level_told(double t) const = 0;
  // `scale` is of the estimate of the image here.
  virtual BoundLevel bound(const NoiseLevel&) const {
    fail("process", "only time steps of a schedule have a variance to learn");
  }
};

namespace {

// The time steps of a schedule, with alpha^2 + sigma^2 = 1.
class ScheduledLevels : public ProcessLevels {
 public:
  explicit ScheduledLevels(Schedule schedule) : schedule_(std::move(schedule)) {}

  NoiseLevel draw(const Philox& random, uint64_t position) const override {
    const uint64_t steps = static_cast<uint64_t>(schedule_.steps());
    return schedule_.level(static_cast<int64_t>(random.below(steps, position)));
  }

  NoiseLevel at_quantile(double q) const override {
    const int64_t last = schedule_.steps() - 1;
    const auto i = static_cast<int64_t>(q * static_cast<double>(schedule_.steps()));
    return schedule_.level(std::min(i, last));
  }

  double inverse_density(const NoiseLevel& level) const override {
    const auto steps = static_cast<double>(schedule_.steps());
    const NoiseLevel cleaner = at_time(std::max(level.t - 0.5, 0.0));
    const NoiseLevel noisier = at_time(std::min(level.t + 0.5, steps - 1));
    return steps * (cleaner.log_snr() - noisier.log_snr());
  }

  NoiseLevel noisiest() const override { return schedule_.level(schedule_.steps() - 1); }
  NoiseLevel cleanest() const override { return schedule_.level(0); }

  NoiseLevel at_time(double time) const override {
    const auto below = static_cast<int64_t>(std::floor(time));
    const double share = time - std::floor(time);
    if (share == 0) return schedule_.level(below);
    const double low = log_ratio(below), high = log_ratio(below + 1);
    if (std::isinf(high)) return schedule_.level(share < 0.5 ? below : below + 1);
    return with_ratio(std::exp(std::lerp(low, high, share)), time);
  }

  NoiseLevel at_ratio(double ratio) const override {
    int64_t low = 0, high = schedule_.steps() - 1;
    if (std::isinf(log_ratio(high))) --high;
    const double wanted = std::log(ratio);
    if (high <= low || wanted <= log_ratio(low)) return schedule_.level(low);
    if (wanted >= log_ratio(high)) return schedule_.level(high);
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      (log_ratio(middle) <= wanted ? low : high) = middle;
    }
    const double from = log_ratio(low), to = log_ratio(high);
    return with_ratio(ratio, static_cast<double>(low) + (wanted - from) / (to - from));
  }

  NoiseLevel level_told(double t) const override { return at_time(t); }

  // The last step has no variance of its own: it takes that of the step before, as in Nichol &
  // Dhariwal 2021.
  BoundLevel bound(const NoiseLevel& level) const override {
    const auto i = static_cast<int64_t>(std::lround(level.t));
    const NoiseStep step = schedule_.step(i), not_last = schedule_.step(std::max<int64_t>(i, 1));
    return {.scale = step.posterior_x0(),
            .log_low = std::log(not_last.posterior_variance()),
            .log_high = std::log(step.added),
            .to_image = i == 0};
  }

 private:
  double log_ratio(int64_t i) const { return -schedule_.level(i).log_snr() / 2; }
  static NoiseLevel with_ratio(double ratio, double t) {
    const double squared = ratio * ratio;
    return {.alpha_squared = 1 / (1 + squared), .sigma_squared = squared / (1 + squared), .t = t};
  }

  Schedule schedule_;
};

// Noise is added to an image that is not scaled, alpha = 1 (Karras et al. 2022, table 1).
class EdmLevels : public ProcessLevels {
 public:
  NoiseLevel draw(const Philox& random, uint64_t position) const override {
    float normal = 0;
    random.normal(position, 1, &normal);
    return at_normal(normal);
  }
  NoiseLevel at_quantile(double q) const override { return at_normal(normal_quantile(q)); }
  double inverse_density(const NoiseLevel& level) const override {
    const double z = (std::log(level.sigma()) - kMean) / kDeviation;
    return 2 * kDeviation / normal_density(z);
  }

  NoiseLevel noisiest() const override { return at_ratio(80); }
  NoiseLevel cleanest() const override { return at_ratio(0.002); }

  NoiseLevel at_time(double) const override {
    fail("process", "the levels of edm have no time steps");
  }
  NoiseLevel at_ratio(double sigma) const override {
    return {.alpha_squared = 1, .sigma_squared = sigma * sigma, .t = std::log(sigma) / 4};
  }
  NoiseLevel level_told(double t) const override {
    return {.alpha_squared = 1, .sigma_squared = std::exp(8 * t), .t = t};
  }

 private:
  // ln sigma is normally distributed.
  static constexpr double kMean = -1.2, kDeviation = 1.2;
  NoiseLevel at_normal(double z) const { return at_ratio(std::exp(kMean + kDeviation * z)); }
};

// The line from image to noise, alpha = 1 - t and sigma = t (Liu et al. 2022, arXiv:2209.03003).
// The network gets t times the number of time steps, because its time embedding is made for time
// steps.
class FlowLevels : public ProcessLevels {
 public:
  FlowLevels(int64_t timesteps, TimeSampling sampling)
      : timesteps_(static_cast<double>(timesteps)), sampling_(sampling) {}

  NoiseLevel draw(const Philox& random, uint64_t position) const override {
    // Never exactly 0, because at 0 there is no noise to learn from.
    if (sampling_ == TimeSampling::kUniform) return at(1 - double{random.uniform(position)});
    float normal = 0;
    random.normal(position, 1, &normal);
    return at(1 / (1 + std::exp(-double{normal})));
  }
  NoiseLevel at_quantile(double q) const override {
    if (sampling_ == TimeSampling::kUniform) return at(1 - q);
    return at(1 / (1 + std::exp(-normal_quantile(q))));
  }
  // log SNR is twice ln((1 - t) / t).
  double inverse_density(const NoiseLevel& level) const override {
    if (sampling_ == TimeSampling::kUniform) return 2 / (level.alpha() * level.sigma());
    return 2 / normal_density(std::log(level.sigma() / level.alpha()));
  }

  NoiseLevel noisiest() const override { return at(1); }
  NoiseLevel cleanest() const override { return at(1 / timesteps_); }
  NoiseLevel at_time(double time) const override { return at((time + 1) / timesteps_); }
  NoiseLevel at_ratio(double ratio) const override { return at(ratio / (1 + ratio)); }
  NoiseLevel level_told(double t) const override { return at(t / timesteps_); }

 private:
  NoiseLevel at(double t) const {
    return {.alpha_squared = (1 - t) * (1 - t), .sigma_squared = t * t, .t = t * timesteps_};
  }

  double timesteps_;
  TimeSampling sampling_;
};

std::shared_ptr<const ProcessLevels> levels_of(const ProcessConfig& config) {
  // Built for every objective: an unknown schedule, or a wrong number of time steps, is an error
  // even if the objective does not use them.
  Schedule schedule(config.schedule, config.timesteps);
  switch (find_objective(config.objective).process) {
    case ProcessKind::kScheduled:
      return std::make_shared<ScheduledLevels>(config.zero_snr ? schedule.with_zero_snr()
                                                               : std::move(schedule));
    case ProcessKind::kEdm:
      return std::make_shared<EdmLevels>();
    case ProcessKind::kFlow:
      return std::make_shared<FlowLevels>(
          config.timesteps, find_time_sampling(config.time_sampling, config.objective));
  }
  fail("process", "there is no such kind of process");
}

const ProcessConfig& checked(const ProcessConfig& config) {
  config.check();
  return config;
}

}  // namespace

Process::Process(const ProcessConfig& config)
    : objective_(&find_objective(checked(config).objective)),
      weighting_(&find_weighting(config.weighting)),
      weighting_options_{.gamma = config.min_snr_gamma, .bias = config.sigmoid_bias},
      low_discrepancy_(config.low_discrepancy),
      pairing_(find_pairing(config.pairing)),
      learned_variance_(config.learned_variance),
      offset_noise_(config.offset_noise),
      input_perturbation_(config.input_perturbation),
      most_steps_(config.timesteps),
      levels_(levels_of(config)) {}

Preconditioning Process::preconditioning(const NoiseLevel& level) const {
  Preconditioning use = objective_->at(level);
  if (weighting_->of_image == nullptr) return use;
  const double snr = level.alpha_squared / level.sigma_squared;
  const double inverse_density = weighting_->uses_density ? levels_->inverse_density(level) : 0;
  use.weight =
      weighting_->of_image(snr, inverse_density, weighting_options_) * use.c_out * use.c_out;
  return use;
}

NoiseLevel Process::draw(const Philox& random, uint64_t position) const {
  return levels_->draw(random, position);
}

NoiseLevel Process::at_quantile(double q) const {
  DDPM_CHECK(q > 0 && q < 1);
  return levels_->at_quantile(q);
}

double Process::inverse_density(const NoiseLevel& level) const {
  return levels_->inverse_density(level);
}

BoundLevel Process::bound(const NoiseLevel& level) const {
  DDPM_CHECK(learned_variance_);
  BoundLevel bound = levels_->bound(level);
  bound.scale *= objective_->at(level).c_out;
  // Offset noise makes the noise of a step larger by this. The variance that is learned multiplies
  // such noise. The step to the image adds none.
  if (!bound.to_image) bound.scale /= std::sqrt(1 + offset_noise_ * offset_noise_);
  return bound;
}

ProcessKind Process::kind() const { return objective_->process; }

NoiseLevel Process::noisiest() const { return levels_->noisiest(); }

NoiseLevel Process::cleanest() const { return levels_->cleanest(); }

NoiseLevel Process::at_time(double time) const {
  DDPM_CHECK(time >= 0 && time <= static_cast<double>(most_steps_ - 1));
  return levels_->at_time(time);
}

NoiseLevel Process::at_ratio(double ratio) const {
  DDPM_CHECK(ratio > 0 && std::isfinite(ratio));
  return levels_->at_ratio(ratio);
}

NoiseLevel Process::level_told(double t) const { return levels_->level_told(t); }

}  // namespace ddpm
