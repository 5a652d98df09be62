// A schedule is a list of betas. Each kind is one function and one row of the table. cosine and
// sigmoid are defined by alpha_bar, so their betas come from ratios of neighbours. They reach
// kMaxBeta where alpha_bar goes to zero.
#include "ddpm/diffusion/schedule.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/named_rows.h"

namespace ddpm {
namespace {

constexpr double kFirstBeta = 1e-4;
constexpr double kLastBeta = 0.02;

// The position of step i in [0, 1], including both ends. 0 for a single step.
double fraction(int64_t i, int64_t steps) {
  return steps == 1 ? 0.0 : static_cast<double>(i) / static_cast<double>(steps - 1);
}

// The published betas are for 1000 steps. For other lengths they are scaled to keep the total
// noise.
double scaled(double beta, int64_t steps) {
  return std::min(beta * 1000.0 / static_cast<double>(steps), kMaxBeta);
}

std::vector<double> linear_betas(int64_t steps) {
  std::vector<double> betas;
  for (int64_t i = 0; i < steps; ++i) {
    betas.push_back(scaled(std::lerp(kFirstBeta, kLastBeta, fraction(i, steps)), steps));
  }
  return betas;
}

std::vector<double> quadratic_betas(int64_t steps) {
  std::vector<double> betas;
  for (int64_t i = 0; i < steps; ++i) {
    const double root = std::lerp(std::sqrt(kFirstBeta), std::sqrt(kLastBeta), fraction(i, steps));
    betas.push_back(scaled(root * root, steps));
  }
  return betas;
}

// The betas of alpha_bar(u) for u in [0, 1]. A constant factor of alpha_bar cancels in the ratios.
template <class AlphaBar>
std::vector<double> betas_of(AlphaBar alpha_bar, int64_t steps) {
  std::vector<double> betas;
  const double t = static_cast<double>(steps);
  for (int64_t i = 0; i < steps; ++i) {
    const double here = static_cast<double>(i);
    const double kept = alpha_bar((here + 1) / t) / alpha_bar(here / t);
    betas.push_back(std::min(1 - kept, kMaxBeta));
  }
  return betas;
}

std::vector<double> cosine_betas(int64_t steps) {
  constexpr double kOffset = 0.008;
  return betas_of(
      [](double u) {
        const double c = std::cos((u + kOffset) / (1 + kOffset) * std::numbers::pi / 2);
        return c * c;
      },
      steps);
}

std::vector<double> sigmoid_betas(int64_t steps) {
  constexpr double kStart = -3, kEnd = 3, kTau = 1;
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v / kTau)); };
  return betas_of([&](double u) { return sigmoid(kEnd) - sigmoid(std::lerp(kStart, kEnd, u)); },
                  steps);
}

}  // namespace

const std::vector<ScheduleKind>& schedule_kinds() {
  static const std::vector<ScheduleKind> kinds = {
      {"linear", "noise grows evenly (Ho et al. 2020)", linear_betas},
      {"cosine", "gentler at both ends, good for small images (Nichol & Dhariwal 2021)",
       cosine_betas},
      {"sigmoid", "as cosine with more weight on noise, good for large images (Jabri et al. 2022)",
       sigmoid_betas},
      {"quadratic", "as linear, slower to start", quadratic_betas},
  };
  return kinds;
}

std::vector<std::string> schedule_names() { return names_of(schedule_kinds()); }

Schedule::Schedule(std::string_view name, int64_t steps) {
  if (steps < 1 || steps > kMostTimesteps) {
    fail_usage("schedule", fmt::format("{} steps; choose 1 to {}", steps, kMostTimesteps));
  }
  beta_ = find_by_name(schedule_kinds(), name, "schedule", "schedule").betas(steps);
  double product = 1;
  for (int64_t i = 0; i < steps; ++i) {
    const double beta = beta_[static_cast<size_t>(i)];
    DDPM_CHECK(beta > 0 && beta <= kMaxBeta);
    product *= 1 - beta;
    alpha_bar_.push_back(product);
    timesteps_.push_back(i);
  }
}

Schedule::Schedule(std::vector<double> alpha_bar, std::vector<int64_t> timesteps)
    : alpha_bar_(std::move(alpha_bar)), timesteps_(std::move(timesteps)) {
  double previous = 1;
  for (const double now : alpha_bar_) {
    beta_.push_back(1 - now / previous);
    previous = now;
  }
}

Schedule Schedule::respaced(const std::vector<int64_t>& timesteps) const {
  std::vector<double> alpha_bar;
  std::vector<int64_t> told;
  int64_t previous = -1;
  for (const int64_t t : timesteps) {
    if (t <= previous || t >= steps()) {
      fail_usage("schedule", fmt::format("step {} after step {}; steps must rise within 0 ... {}",
                                         t, previous, steps() - 1));
    }
    alpha_bar.push_back(this->alpha_bar(t));
    told.push_back(timestep(t));
    previous = t;
  }
  if (told.empty()) fail_usage("schedule", "no steps; at least 1 is needed");
  return Schedule(std::move(alpha_bar), std::move(told));
}

Schedule Schedule::respaced(int64_t count) const {
  if (count < 1 || count > steps()) {
    fail_usage("schedule",
               fmt::format("{} steps of a process of {}; choose 1 to {}", count, steps(), steps()));
  }
  if (count == steps()) return *this;
  std::vector<int64_t> timesteps;
  const double last = static_cast<double>(steps() - 1);
  for (int64_t i = 0; i < count; ++i) {
    const double place = count == 1 ? last : last * fraction(i, count);
    timesteps.push_back(static_cast<int64_t>(std::lround(place)));
  }
  return respaced(timesteps);
}

Schedule Schedule::with_zero_snr() const {
  if (steps() < 2) {
    fail_usage("schedule", "a single step cannot be noise alone; at least 2 are needed");
  }
  const double first = std::sqrt(alpha_bar_.front()), last = std::sqrt(alpha_bar_.back());
  std::vector<double> scaled;
  for (const double alpha_bar : alpha_bar_) {
    const double root = (std::sqrt(alpha_bar) - last) * first / (first - last);
    scaled.push_back(root * root);
  }
  return Schedule(std::move(scaled), timesteps_);
}

size_t Schedule::index(int64_t i) const {
  DDPM_CHECK(i >= 0 && i < steps());
  return static_cast<size_t>(i);
}

NoiseLevel Schedule::level(int64_t i) const {
  return {.alpha_squared = alpha_bar(i),
          .sigma_squared = 1 - alpha_bar(i),
          .t = static_cast<double>(timestep(i))};
}

NoiseStep Schedule::step(int64_t i) const {
  return {.from = level(i),
          .to = i == 0 ? NoiseLevel{} : level(i - 1),
          .kept = alpha(i),
          .added = beta(i),
          .stream = 1 + static_cast<uint64_t>(timestep(i))};
}

}  // namespace ddpm
