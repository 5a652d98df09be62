// The strip below the loss curve: the loss on pictures held out, by level of noise. Private to this
// room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddpm {

struct LevelsStrip {
  // Ascending, at least one.
  const std::vector<int64_t>& steps;
  // One list for each step, all of one length. The first level has the least noise.
  const std::vector<std::vector<double>>& by_level;
  // The place of the strip in the chart, and the steps at its left and right edges.
  double left, right, top;
  double first_step, last_step;
};

// The height of a strip of so many levels, with its caption above it and room below.
double levels_strip_height(size_t levels);

// SVG elements: a row for each level, the least noise on top, and time from left to right. The
// colour of a cell says by which factor the loss is above the lowest of its row. A row that turns
// darker to the right is a level at which the network no longer gets better on pictures that it has
// not seen. Throws Error for lists of another length, and for no steps or levels.
std::string levels_strip_svg(const LevelsStrip& strip);

}  // namespace ddpm
