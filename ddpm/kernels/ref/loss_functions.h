// The loss of one element and its slope, in double.
#pragma once

#include <cmath>

#include "ddpm/kernels/arguments.h"

namespace ddpm::ref {

inline double loss_at(LossKind kind, double difference) {
  const double size = std::abs(difference);
  switch (kind) {
    case LossKind::kMse:
      return difference * difference;
    case LossKind::kL1:
      return size;
    case LossKind::kHuber:
      return size <= 1 ? 0.5 * difference * difference : size - 0.5;
  }
  return 0;
}

// Of the absolute value we take slope 0 at 0; NaN stays NaN.
inline double slope_at(LossKind kind, double difference) {
  const double sign = difference > 0 ? 1 : difference < 0 ? -1 : difference;
  switch (kind) {
    case LossKind::kMse:
      return 2 * difference;
    case LossKind::kL1:
      return sign;
    case LossKind::kHuber:
      return std::abs(difference) <= 1 ? difference : sign;
  }
  return 0;
}

}  // namespace ddpm::ref
