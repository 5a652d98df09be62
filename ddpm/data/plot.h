// Pictures of numbers: the curve of the loss.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddpm {

struct LossCurve {
  std::vector<int64_t> steps;  // ascending
  std::vector<double> losses;  // one for each step; values that are not finite are left out
  std::string title = "Training loss";
};

// An SVG document of 1000 x 600: every value as a thin line, a smoothed thick line above, ticks at
// round numbers; a logarithmic axis where the positive losses span more than a factor of ten.
// Throws Error where steps and losses differ in number; no values give empty axes that say so.
std::string loss_curve_svg(const LossCurve& curve);

}  // namespace ddpm
