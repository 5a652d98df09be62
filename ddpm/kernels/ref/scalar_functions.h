// The activations and their derivatives in double, at one point. They take their limits at
// infinity; NaN stays NaN.
#pragma once

#include <cmath>
#include <numbers>

namespace ddpm::ref {

// Beyond this the functions equal their limits in double, and inf * 0 would give NaN.
inline constexpr double kFar = 700;

inline double silu(double x) { return x < -kFar ? 0 : x / (1 + std::exp(-x)); }

inline double silu_slope(double x) {
  if (std::abs(x) > kFar) return x > 0;
  const double s = 1 / (1 + std::exp(-x));
  return s * (1 + x * (1 - s));
}

inline double gelu(double x) {
  return x < -kFar ? 0 : 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}

inline double gelu_slope(double x) {
  if (std::abs(x) > kFar) return x > 0;
  const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
  return 0.5 * std::erfc(-x / std::numbers::sqrt2) + x * density;
}

}  // namespace ddpm::ref
