// Noise schedules: how much noise each of T steps adds, and every coefficient that follows from it
// (Ho et al. 2020, arXiv:2006.11239). All tables are double; nothing here touches a pixel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/level.h"

namespace ddpm {

// One row of the table of schedules, which also feeds help and error messages.
struct ScheduleKind {
  const char* name;
  const char* help;
  std::vector<double> (*betas)(int64_t steps);  // each in (0, kMaxBeta]
};
const std::vector<ScheduleKind>& schedule_kinds();
std::vector<std::string> schedule_names();

// No step destroys more than this share of the variance (Nichol & Dhariwal 2021, section 3.2). It
// also bounds linear and quadratic, whose scaling by 1000 / T would pass 1 for small T.
inline constexpr double kMaxBeta = 0.999;

// With alpha_t = 1 - beta_t and alpha_bar_t their product over 0 ... t, an image becomes
// x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise. Immutable; cheap to copy beside a
// network.
class Schedule {
 public:
  // linear, cosine, sigmoid or quadratic; throws UsageError for another name, naming the choices,
  // and unless 1 <= steps <= kMostTimesteps.
  explicit Schedule(std::string_view name, int64_t steps = 1000);

  // The same process seen at some of its steps only: alpha_bar is taken over, beta follows from
  // it. timesteps rise strictly within 0 ... steps() - 1; throws UsageError otherwise.
  Schedule respaced(const std::vector<int64_t>& timesteps) const;
  // At `count` steps, evenly spaced with both ends: round(i (T - 1) / (count - 1)); the last step
  // alone for count = 1. Throws UsageError unless 1 <= count <= steps().
  Schedule respaced(int64_t count) const;

  int64_t steps() const { return static_cast<int64_t>(beta_.size()); }
  // What the network is told at step i: i itself, or the step that respaced() took it from.
  int64_t timestep(int64_t i) const { return timesteps_[index(i)]; }

  double beta(int64_t i) const { return beta_[index(i)]; }
  double alpha(int64_t i) const { return 1 - beta_[index(i)]; }
  double alpha_bar(int64_t i) const { return alpha_bar_[index(i)]; }
  // The level of step i, and the step of sampling that leaves it: to the level of step i - 1, or to
  // the image for i = 0.
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
