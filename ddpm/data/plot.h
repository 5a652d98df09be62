// Draws the curve of the loss.
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

// An SVG document of 1000 x 600: a thin line through all values, a thick smoothed line over it, and
// ticks at round numbers. The axis is logarithmic where the positive losses span more than a factor
// of ten. Without values the axes are empty and say so. Throws Error where steps and losses differ
// in number.
std::string loss_curve_svg(const LossCurve& curve);

}  // namespace ddpm
