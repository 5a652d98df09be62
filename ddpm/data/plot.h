// Draws the loss curve.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddpm {

struct LossCurve {
  // Ascending.
  std::vector<int64_t> steps;
  // One for each step. Values that are not finite are left out.
  std::vector<double> losses;
  std::string title = "Training loss";
};

// Returns an SVG document of 1000 x 600: a thin line through all values, a thick smoothed line over
// it, and ticks at round numbers. The axis of the loss is logarithmic if the positive losses span
// more than a factor of ten. Without values, the axes are empty and a text says so. Throws Error if
// the numbers of steps and losses differ.
std::string loss_curve_svg(const LossCurve& curve);

}  // namespace ddpm
