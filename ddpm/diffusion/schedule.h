// Noise schedules: how much noise each of T steps adds, and the coefficients that follow from it
// (Ho et al. 2020, arXiv:2006.11239). All tables are double. This file works only on coefficients,
// not on pixels.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/level.h"

namespace ddpm {

// One row of the table of schedules. Help and error messages also use it.
struct ScheduleKind {
  const char* name;
  const char* help;
  // Each beta lies in (0, kMaxBeta].
  std::vector<double> (*betas)(int64_t steps);
};
const std::vector<ScheduleKind>& schedule_kinds();
std::vector<std::string> schedule_names();

// No step removes more than this share of the variance (Nichol & Dhariwal 2021, section 3.2). The
// limit also applies to linear and quadratic, whose scaling by 1000 / T would exceed 1 for small T.
inline constexpr double kMaxBeta = 0.999;

// With alpha_t = 1 - beta_t, and alpha_bar_t the product of alpha_0 ... alpha_t, an image becomes
// x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise. Immutable. Cheap to copy.
class Schedule {
 public:
  // Throws UsageError for a name that is not in schedule_names(), naming the choices, and unless
  // 1 <= steps <= kMostTimesteps.
  explicit Schedule(std::string_view name, int64_t steps = 1000);

  // The same process at some of its steps only: alpha_bar is kept, and beta follows from it.
  // timesteps must rise strictly within 0 ... steps() - 1; otherwise throws UsageError.
  Schedule respaced(const std::vector<int64_t>& timesteps) const;
  // The same at `count` evenly spaced steps with both ends: round(i (T - 1) / (count - 1)). For
  // count = 1 only the last step. Throws UsageError unless 1 <= count <= steps().
  Schedule respaced(int64_t count) const;

  // The same with sqrt(alpha_bar) shifted and scaled so that the last step is noise alone and the
  // first stays as it is (Lin et al. 2023, arXiv:2305.08891, algorithm 1). Throws UsageError for
  // fewer than 2 steps.
  Schedule with_zero_snr() const;

  int64_t steps() const { return static_cast<int64_t>(beta_.size()); }
  // The number that the network gets at step i: i itself, or for a respaced() schedule the original
  // step.
  int64_t timestep(int64_t i) const { return timesteps_[index(i)]; }

  double beta(int64_t i) const { return beta_[index(i)]; }
  double alpha(int64_t i) const { return 1 - beta_[index(i)]; }
  double alpha_bar(int64_t i) const { return alpha_bar_[index(i)]; }
  // The level of step i. step(i) is the step of sampling from that level to the level of step i -
  // 1, or to the image for i = 0.
  NoiseLevel level(int64_t i) const;
  NoiseStep step(int64_t i) const;

 private:
  Schedule(std::vector<double> alpha_bar, std::vector<int64_t> timesteps);
  size_t index(int64_t i) const;

  std::vector<double> beta_;
  std::vector<double> alpha_bar_;
  std::vector<int64_t> timesteps_;
};

}  // namespace ddpm
