#pragma once

#include <cmath>

namespace ddpm {

// The weight of a sample at the distance x, in samples, in the cubic interpolation of Catmull & Rom
// 1974. It is 0 from a distance of 2 on, and at all whole distances but 0, where it is 1.
inline double catmull_rom(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

}  // namespace ddpm
