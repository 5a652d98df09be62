// Draws the loss curve.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddpm {

// The loss on pictures that are held out.
struct ValidationCurve {
  // Ascending.
  std::vector<int64_t> steps;
  // One for each step, finite.
  std::vector<double> losses;
  // One list for each step, all of one length. The first level has the least noise.
  std::vector<std::vector<double>> by_level;
};

struct LossCurve {
  // Ascending.
  std::vector<int64_t> steps;
  // One for each step. Values that are not finite are left out.
  std::vector<double> losses;
  std::string title = "Loss";
  // Drawn as a second line, and by level as a strip below the chart. May be empty.
  ValidationCurve validation = {};
};

// Returns an SVG document of 1000 x 600, or higher with a validation: a thin line through all
// values, a thick smoothed line over it, and ticks at round numbers. The axis of the loss is
// logarithmic if the positive losses span more than a factor of ten. Without values, the axes are
// empty and a text says so. Throws Error if the numbers of steps and losses differ.
std::string loss_curve_svg(const LossCurve& curve);

}  // namespace ddpm
