// A noise level, and a step from one level to a cleaner one. Every process, objective and sampler
// works with these. The discrete steps of a schedule, EDM's sigma and the line of rectified flow
// are all lists of levels.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace ddpm {

// The most time steps of a process. Nobody needs so many. The limit keeps a damaged file from
// taking all memory.
inline constexpr int64_t kMostTimesteps = 1'000'000;

// x = alpha x0 + sigma noise, where noise is standard normal. The default is the clean image. The
// squares are stored because schedules give squares: alpha_squared is the alpha_bar of Ho et al.
// 2020 (arXiv:2006.11239).
struct NoiseLevel {
  double alpha_squared = 1;
  double sigma_squared = 0;
  // The number that the network gets for this level.
  double t = 0;

  double alpha() const { return std::sqrt(alpha_squared); }
  double sigma() const { return std::sqrt(sigma_squared); }
  // log(alpha^2 / sigma^2): infinity for the clean image, minus infinity for pure noise.
  double log_snr() const { return std::log(alpha_squared / sigma_squared); }
  // sigma / alpha, the sigma of Karras et al. 2022 (arXiv:2206.00364) for any alpha: 0 for the
  // clean image, infinity for pure noise.
  double ratio() const { return std::sqrt(sigma_squared / alpha_squared); }
};

// One step of sampling, from a level to a cleaner one. The forward process from `to` to `from` is
// x_from = sqrt(kept) x_to + sqrt(added) noise.
struct NoiseStep {
  NoiseLevel from;
  NoiseLevel to;
  // alpha_from^2 / alpha_to^2: the alpha of Ho et al.
  double kept = 1;
  // sigma_from^2 - kept sigma_to^2: their beta. `kept` and `added` are stored, because a schedule
  // knows them more exactly than a difference of its products would.
  double added = 0;
  // The stream of random numbers for noise that a sampler adds in this step. Stream 0 is the noise
  // that sampling starts from.
  uint64_t stream = 1;

  // q(x_to | x_from, x0) is normal with mean posterior_x0 x0 + posterior_x x_from and this variance
  // (Ho et al. 2020, equations 6 and 7, for any alpha and sigma).
  double posterior_variance() const { return added * to.sigma_squared / from.sigma_squared; }
  double posterior_x0() const { return to.alpha() * added / from.sigma_squared; }
  double posterior_x() const { return std::sqrt(kept) * to.sigma_squared / from.sigma_squared; }
};

// The step between two levels, computed from their alpha and sigma alone.
inline NoiseStep step_between(const NoiseLevel& from, const NoiseLevel& to, uint64_t stream) {
  const double kept = from.alpha_squared / to.alpha_squared;
  return {.from = from,
          .to = to,
          .kept = kept,
          .added = from.sigma_squared - kept * to.sigma_squared,
          .stream = stream};
}

// The steps from each level to the next, and from the last level to the clean image. The levels
// must be of falling noise. The streams count down to 1.
inline std::vector<NoiseStep> steps_between(const std::vector<NoiseLevel>& levels) {
  std::vector<NoiseStep> steps;
  for (size_t i = 0; i < levels.size(); ++i) {
    const NoiseLevel to = i + 1 < levels.size() ? levels[i + 1] : NoiseLevel{};
    steps.push_back(step_between(levels[i], to, levels.size() - i));
  }
  return steps;
}

}  // namespace ddpm
