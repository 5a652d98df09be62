// How the learning rate changes over a training.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace ddpm {

// In the formulas, s = 0, 1, ... is the number of steps before this one, W = warmup, T = steps, and
// D = max(decay_start, W) is where the decay begins. The rate is `rate` times min(1, (s + 1) / W)
// times the factor of the schedule:
//
//   constant  1
//   cosine    (1 + cos(pi p)) / 2, p = (s - D) / (T - D), which is 1 before D
//   linear    1 - p
//   rsqrt     sqrt(D / max(s + 1, D)) with D at least 1 (Karras et al. 2023, arXiv:2312.02696)
//
// p never exceeds 1. The last step of a training still has a rate above 0. If D is not below T, the
// rate does not decay. A training that ends by the clock does not know T, and gives p itself.
struct RateSchedule {
  std::string schedule = "constant";
  double rate = 1;
  int64_t warmup = 0;
  // 0: at the end of the warm-up.
  int64_t decay_start = 0;
  // Of the whole training.
  int64_t steps = 0;

  // D
  int64_t decay_begin() const { return std::max(decay_start, warmup); }
};

std::vector<std::string> rate_schedule_names();

// The learning rate of the step after `step` steps. Throws UsageError for an unknown schedule.
double learning_rate_at(const RateSchedule& schedule, int64_t step);
// The same for a given p, between 0 and 1.
double learning_rate_at(const RateSchedule& schedule, int64_t step, double decayed);

}  // namespace ddpm
