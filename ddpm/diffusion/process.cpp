// The levels of the three kinds of process. A continuous process can be sampled in any number of
// steps. The discrete process is sampled at some of its own steps.
#include "ddpm/diffusion/process.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/diffusion/time_sampling.h"
#include "ddpm/kernels/arguments.h"

namespace ddpm {

class ProcessLevels {
 public:
  virtual ~ProcessLevels() = default;
  virtual NoiseLevel draw(const Philox& random, uint64_t position) const = 0;
  virtual std::vector<NoiseStep> steps(int64_t count) const = 0;
  virtual double start_scale(const NoiseLevel&) const { return 1; }
  // `scale` is of the estimate of the image here.
  virtual BoundLevel bound(const NoiseLevel&) const {
    fail("process", "only time steps of a schedule have a variance to learn");
  }
};

namespace {

// The steps between levels of falling noise. The clean image is added as the last level. Each step
// has its own stream of random numbers.
std::vector<NoiseStep> steps_between(std::vector<NoiseLevel> levels) {
  levels.push_back({});
  std::vector<NoiseStep> steps;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    steps.push_back(step_between(levels[i], levels[i + 1], levels.size() - 1 - i));
  }
  return steps;
}

// The time steps of a schedule, with alpha^2 + sigma^2 = 1.
class ScheduledLevels : public ProcessLevels {
 public:
  explicit ScheduledLevels(Schedule schedule) : schedule_(std::move(schedule)) {}

  NoiseLevel draw(const Philox& random, uint64_t position) const override {
    const uint64_t steps = static_cast<uint64_t>(schedule_.steps());
    return schedule_.level(static_cast<int64_t>(random.below(steps, position)));
  }

  std::vector<NoiseStep> steps(int64_t count) const override {
    const Schedule walked = schedule_.respaced(count);
    std::vector<NoiseStep> steps;
    for (int64_t i = count - 1; i >= 0; --i) steps.push_back(walked.step(i));
    return steps;
  }

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
  Schedule schedule_;
};

// Noise is added to an image that is not scaled, alpha = 1 (Karras et al. 2022, table 1).
class EdmLevels : public ProcessLevels {
 public:
  // ln sigma is normally distributed.
  NoiseLevel draw(const Philox& random, uint64_t position) const override {
    constexpr double kMean = -1.2, kDeviation = 1.2;
    float normal = 0;
    random.normal(position, 1, &normal);
    return at(std::exp(kMean + kDeviation * double{normal}));
  }

  // Evenly spaced in sigma^(1 / rho).
  std::vector<NoiseStep> steps(int64_t count) const override {
    constexpr double kLowest = 0.002, kHighest = 80, kRho = 7;
    const double first = std::pow(kHighest, 1 / kRho), last = std::pow(kLowest, 1 / kRho);
    std::vector<NoiseLevel> levels;
    for (int64_t i = 0; i < count; ++i) {
      const double place = count == 1 ? 0 : static_cast<double>(i) / static_cast<double>(count - 1);
      levels.push_back(at(std::pow(first + place * (last - first), kRho)));
    }
    return steps_between(levels);
  }

  double start_scale(const NoiseLevel& first) const override { return first.sigma(); }

 private:
  static NoiseLevel at(double sigma) {
    return {.alpha_squared = 1, .sigma_squared = sigma * sigma, .t = std::log(sigma) / 4};
  }
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

  std::vector<NoiseStep> steps(int64_t count) const override {
    std::vector<NoiseLevel> levels;
    for (int64_t i = count; i > 0; --i) {
      levels.push_back(at(static_cast<double>(i) / static_cast<double>(count)));
    }
    return steps_between(levels);
  }

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
      min_snr_gamma_(config.weighting == "min-snr" ? config.min_snr_gamma : 0),
      learned_variance_(config.learned_variance),
      offset_noise_(config.offset_noise),
      input_perturbation_(config.input_perturbation),
      most_steps_(config.timesteps),
      levels_(levels_of(config)) {}

Preconditioning Process::preconditioning(const NoiseLevel& level) const {
  Preconditioning use = objective_->at(level);
  if (min_snr_gamma_ > 0) use.weight = min_snr_weight(use, level, min_snr_gamma_);
  return use;
}

NoiseLevel Process::draw(const Philox& random, uint64_t position) const {
  return levels_->draw(random, position);
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

std::vector<NoiseStep> Process::steps(int64_t count) const {
  if (count < 1 || count > most_steps_) {
    fail_usage("process", fmt::format("{} steps of a process of {}; choose 1 to {}", count,
                                      most_steps_, most_steps_));
  }
  return levels_->steps(count);
}

double Process::start_scale(const NoiseLevel& first) const { return levels_->start_scale(first); }

}  // namespace ddpm
