// The variational bound of one element, for a step whose variance the network predicts (Nichol &
// Dhariwal 2021, arXiv:2102.09672, sections 3.1 and 3.3), in double. The mean of the step counts as
// a constant, as in their hybrid loss, so the gradient is that of the variance alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ddpm/kernels/arguments.h"

namespace ddpm {

// log sigma^2 = (1 + v) / 2 log_high + (1 - v) / 2 log_low, v being the network's output.
inline double log_variance(const BoundLevel& level, double v) {
  return level.log_low + (level.log_high - level.log_low) * (v + 1) / 2;
}

// In nats.
struct BoundNats {
  double nats = 0;
  double slope = 0;  // d nats / d log sigma^2
};

// In bits.
struct BoundBits {
  double bits = 0;
  double slope = 0;  // d bits / d v
};

// KL(posterior || step). Both are normal, and `apart` is the distance of their means. The
// posterior's variance is the lowest that the network can choose.
inline BoundNats divergence(const BoundLevel& level, double apart, double v) {
  const double log_ratio = level.log_low - log_variance(level, v);
  const double ratio = std::exp(log_ratio);
  const double square = apart * apart * std::exp(-log_variance(level, v));
  return {.nats = 0.5 * (-1 - log_ratio + ratio + square), .slope = 0.5 * (1 - ratio - square)};
}

// Minus the log-likelihood of an 8-bit value: the mass of its bin of width 2 / 255 under the normal
// distribution. The first and the last bin also hold everything beyond them. `apart` is x0 minus
// the mean. The distribution function is the approximation by tanh that the authors use.
inline BoundNats likelihood(const BoundLevel& level, double apart, double v, double x0) {
  constexpr double kLeast = 1e-12, kCubic = 0.044715;
  const double scale = std::exp(-log_variance(level, v) / 2);
  const double factor = std::sqrt(2 / std::numbers::pi);
  struct Edge {
    double mass, slope;  // below the edge; of the mass by the log of the variance
  };
  const auto edge = [&](double offset) -> Edge {
    const double z = scale * (apart + offset);
    const double tanh = std::tanh(factor * (z + kCubic * z * z * z));
    const double density = 0.5 * (1 - tanh * tanh) * factor * (1 + 3 * kCubic * z * z);
    return {.mass = 0.5 * (1 + tanh), .slope = density * -0.5 * z};
  };
  const Edge upper = edge(1.0 / 255), lower = edge(-1.0 / 255);
  double mass = upper.mass - lower.mass, slope = upper.slope - lower.slope;
  if (x0 < -0.999) mass = upper.mass, slope = upper.slope;
  if (x0 > 0.999) mass = 1 - lower.mass, slope = -lower.slope;
  // NaN stays NaN.
  if (mass < kLeast) return {.nats = -std::log(kLeast)};
  return {.nats = -std::log(mass), .slope = -slope / mass};
}

// difference: target minus output, for the half of the output that gives the mean.
inline BoundBits variational_bound(const BoundLevel& level, double difference, double v,
                                   double x0) {
  const double apart = level.scale * difference;
  const BoundNats term =
      level.to_image ? likelihood(level, apart, v, x0) : divergence(level, apart, v);
  return {.bits = term.nats / std::numbers::ln2,
          .slope = term.slope * ((level.log_high - level.log_low) / 2 / std::numbers::ln2)};
}

}  // namespace ddpm
