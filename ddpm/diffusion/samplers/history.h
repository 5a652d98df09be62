// The estimates of earlier steps, for samplers that look back. Private to diffusion.
#pragma once

#include <cmath>
#include <cstdint>
#include <deque>
#include <utility>

#include "ddpm/diffusion/level.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct PastEstimate {
  NoiseLevel level;
  // [N, H, W, C]
  Tensor x0;
};

// The newest estimate comes first.
class History {
 public:
  explicit History(int64_t most) : most_(static_cast<size_t>(most)) {}

  void add(const NoiseLevel& level, Tensor x0) {
    if (past_.size() == most_) past_.pop_back();
    past_.push_front({level, std::move(x0)});
  }
  const PastEstimate& operator[](size_t i) const { return past_[i]; }

  // The highest order of a step from the newest level: the number of estimates at levels that have
  // a signal. Formulas of higher order divide by differences of their log SNR. At least 1.
  int64_t order() const {
    int64_t order = 0;
    for (const PastEstimate& past : past_) order += past.level.alpha_squared > 0;
    return order < 1 ? 1 : order;
  }

 private:
  size_t most_;
  std::deque<PastEstimate> past_;
};

// log(alpha / sigma), the lambda of DPM-Solver.
inline double lambda_of(const NoiseLevel& level) { return level.log_snr() / 2; }

}  // namespace ddpm
