#include "ddpm/data/plot_levels.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

constexpr double kRow = 14, kCaption = 46;
// More columns cannot be told apart.
constexpr size_t kMostColumns = 220;
// From this factor on, the colour is that of the end of the scale.
constexpr double kMostFactor = 2;

// A colour for 0 <= share <= 1, from light to dark.
std::string colour(double share) {
  using Colour = std::array<double, 3>;
  constexpr std::array<Colour, 4> kStops = {Colour{238, 244, 255}, Colour{250, 199, 120},
                                            Colour{214, 84, 34}, Colour{84, 16, 40}};
  const double place = std::clamp(share, 0.0, 1.0) * (kStops.size() - 1);
  const size_t below = std::min<size_t>(static_cast<size_t>(place), kStops.size() - 2);
  const auto mix = [&](size_t channel) {
    return std::lround(std::lerp(kStops[below][channel], kStops[below + 1][channel],
                                 place - static_cast<double>(below)));
  };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2));
}

std::string rect(double left, double top, double right, double bottom, const std::string& fill) {
  return fmt::format(
      "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" height=\"{:.0f}\" fill=\"{}\"/>\n", left,
      top, right - left, bottom - top, fill);
}

std::string text(double x, double y, const char* anchor, const std::string& content) {
  return fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"12\">{}</text>\n", x, y,
      anchor, content);
}

// The mean losses of some neighbouring steps.
struct Column {
  double step;
  std::vector<double> losses;
};

std::vector<Column> columns_of(const LevelsStrip& strip) {
  const size_t count = strip.steps.size(), levels = strip.by_level.front().size();
  const size_t run = (count + kMostColumns - 1) / kMostColumns;
  std::vector<Column> columns;
  for (size_t begin = 0; begin < count; begin += run) {
    const size_t end = std::min(begin + run, count);
    const auto share = 1 / static_cast<double>(end - begin);
    Column column{0, std::vector<double>(levels, 0.0)};
    for (size_t i = begin; i < end; ++i) {
      column.step += share * static_cast<double>(strip.steps[i]);
      for (size_t k = 0; k < levels; ++k) column.losses[k] += share * strip.by_level[i][k];
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

// For each column its left edge, halfway to the one before, and then the right edge of the last.
std::vector<double> edges_of(const LevelsStrip& strip, const std::vector<Column>& columns) {
  const double span = std::max(strip.last_step - strip.first_step, 1.0);
  std::vector<double> edges = {strip.left};
  for (size_t i = 1; i < columns.size(); ++i) {
    const double step = (columns[i - 1].step + columns[i].step) / 2;
    edges.push_back(
        std::clamp(strip.left + (step - strip.first_step) / span * (strip.right - strip.left),
                   strip.left, strip.right));
  }
  edges.push_back(strip.right);
  return edges;
}

std::string caption(const LevelsStrip& strip) {
  const double base = strip.top + kCaption - 12;
  std::string svg = text(strip.left, base, "start",
                         "Loss of the pictures held out, by level of noise, relative to the lowest "
                         "of each level");
  const double scale = strip.right - 170;
  svg += text(scale - 6, base, "end", "1");
  constexpr int kShades = 25;
  for (int i = 0; i < kShades; ++i) {
    svg += rect(scale + 4 * i, base - 10, scale + 4 * i + 4, base + 2,
                colour(static_cast<double>(i) / (kShades - 1)));
  }
  return svg +
         text(scale + 4 * kShades + 6, base, "start", fmt::format("{:g} or more", kMostFactor));
}

}  // namespace

double levels_strip_height(size_t levels) {
  return kCaption + kRow * static_cast<double>(levels) + 16;
}

std::string levels_strip_svg(const LevelsStrip& strip) {
  const bool fits = !strip.steps.empty() && strip.by_level.size() == strip.steps.size() &&
                    !strip.by_level.front().empty() &&
                    std::all_of(strip.by_level.begin(), strip.by_level.end(), [&](const auto& all) {
                      return all.size() == strip.by_level.front().size();
                    });
  if (!fits) fail("plot", "the losses by level do not have one list of equal length for each step");
  const std::vector<Column> columns = columns_of(strip);
  const std::vector<double> edges = edges_of(strip, columns);
  const size_t levels = columns.front().losses.size();
  const double top = strip.top + kCaption;
  std::string svg = caption(strip) + "<g shape-rendering=\"crispEdges\">\n";
  for (size_t k = 0; k < levels; ++k) {
    double lowest = std::numeric_limits<double>::infinity();
    for (const Column& column : columns) {
      if (column.losses[k] > 0) lowest = std::min(lowest, column.losses[k]);
    }
    const double upper = top + kRow * static_cast<double>(k);
    for (size_t i = 0; i < columns.size(); ++i) {
      const double factor = columns[i].losses[k] / lowest;
      // 0 if there is no positive loss.
      const double share = factor > 0 ? std::log(factor) / std::log(kMostFactor) : 0;
      svg += rect(edges[i], upper, edges[i + 1], upper + kRow, colour(share));
    }
  }
  svg += "</g>\n";
  svg += text(strip.left - 10, top + kRow - 3, "end", "least noise");
  svg += text(strip.left - 10, top + kRow * static_cast<double>(levels) - 3, "end", "most noise");
  return svg;
}

}  // namespace ddpm
