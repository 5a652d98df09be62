// The chart is written as SVG, which is text. render_svg() of image.h draws it, so this file needs
// no drawing library.
#include "ddpm/data/plot.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/data/plot_levels.h"

namespace ddpm {
namespace {

constexpr double kWidth = 1000, kHeight = 600;
constexpr double kLeft = 90, kRight = 970, kTop = 60, kBottom = 530;
// More points cannot be told apart in the chart.
constexpr double kMostPoints = 2000;

struct Point {
  double step, loss;
};

struct Axis {
  // The range of the axis. Exponents of ten if it is logarithmic.
  double low, high;
  bool logarithmic = false;
  // The values at the ticks.
  std::vector<double> ticks;
  double place(double value) const {
    return ((logarithmic ? std::log10(value) : value) - low) / (high - low);
  }
};

// Returns 1, 2 or 5 times a power of ten, so that the span has about `count` steps.
double round_step(double span, int count) {
  const double rough = span / count, power = std::pow(10, std::floor(std::log10(rough)));
  const double lead = rough / power;
  return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

Axis linear_axis(double low, double high, int count) {
  if (!(high > low)) {
    const double margin = low == 0 ? 1 : std::abs(low) / 2;
    low -= margin, high += margin;
  }
  const double step = round_step(high - low, count);
  Axis axis{std::floor(low / step) * step, std::ceil(high / step) * step, false, {}};
  const auto ticks = std::llround((axis.high - axis.low) / step);
  for (int64_t i = 0; i <= ticks; ++i) {
    const double tick = axis.low + static_cast<double>(i) * step;
    axis.ticks.push_back(std::abs(tick) < step / 1e6 ? 0 : tick);
  }
  return axis;
}

Axis log_axis(double low, double high) {
  Axis axis{std::log10(low) - 0.04, std::log10(high) + 0.04, true, {}};
  const bool few = axis.high - axis.low < 4;
  for (double power = std::floor(axis.low); power <= axis.high; ++power) {
    for (const double lead : {1.0, 2.0, 5.0}) {
      const double tick = lead * std::pow(10, power);
      if ((lead == 1 || few) && std::log10(tick) >= axis.low && std::log10(tick) <= axis.high)
        axis.ticks.push_back(tick);
    }
  }
  return axis;
}

std::string label(double value) {
  const double size = std::abs(value);
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e5) return fmt::format("{:.4g}k", value / 1e3);
  if (size > 0 && size < 1e-4) return fmt::format("{:.1e}", value);
  return fmt::format("{:.5g}", value);
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<')
      result += "&lt;";
    else if (c == '&')
      result += "&amp;";
    else if (static_cast<unsigned char>(c) >= ' ')
      result += c;
  }
  return result;
}

// Averages neighbouring points, so that the chart of a long run stays small.
std::vector<Point> thinned(const std::vector<Point>& points) {
  const auto run = static_cast<size_t>(std::ceil(static_cast<double>(points.size()) / kMostPoints));
  if (run <= 1) return points;
  std::vector<Point> result;
  for (size_t i = 0; i < points.size(); i += run) {
    const size_t end = std::min(points.size(), i + run);
    Point sum{0, 0};
    for (size_t j = i; j < end; ++j) sum.step += points[j].step, sum.loss += points[j].loss;
    const auto count = static_cast<double>(end - i);
    result.push_back({sum.step / count, sum.loss / count});
  }
  return result;
}

// An exponential mean, computed forwards and then backwards so that the line does not lag. On a
// logarithmic axis it is the mean of logarithms, so that it follows a steep fall.
std::vector<Point> smoothed(std::vector<Point> points, bool logarithmic) {
  const double keep = 1 - 1 / std::max(2.0, static_cast<double>(points.size()) / 60);
  if (logarithmic)
    for (Point& point : points) point.loss = std::log(point.loss);
  const auto sweep = [&](auto begin, auto end) {
    double mean = 0, weight = 0;
    for (auto point = begin; point != end; ++point) {
      mean = keep * mean + point->loss;
      weight = keep * weight + 1;
      point->loss = mean / weight;
    }
  };
  sweep(points.begin(), points.end());
  sweep(points.rbegin(), points.rend());
  if (logarithmic)
    for (Point& point : points) point.loss = std::exp(point.loss);
  return points;
}

double at_x(const Axis& axis, double step) { return kLeft + axis.place(step) * (kRight - kLeft); }
double at_y(const Axis& axis, double loss) { return kBottom - axis.place(loss) * (kBottom - kTop); }

std::string polyline(const std::vector<Point>& points, const Axis& x, const Axis& y,
                     const char* style) {
  std::string line =
      fmt::format("<polyline fill=\"none\" stroke-linejoin=\"round\" {} points=\"", style);
  for (const Point& point : points)
    line += fmt::format("{:.1f},{:.1f} ", at_x(x, point.step), at_y(y, point.loss));
  return line + "\"/>\n";
}

std::string text(double x, double y, const char* style, const std::string& content) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, style,
                     escaped(content));
}

std::string axes(const Axis& x, const Axis& y) {
  std::string svg;
  for (const double tick : y.ticks) {
    const double place = at_y(y, tick);
    svg +=
        fmt::format("<line x1=\"{}\" y1=\"{:.1f}\" x2=\"{}\" y2=\"{:.1f}\" stroke=\"#e4e7ec\"/>\n",
                    kLeft, place, kRight, place);
    svg += text(kLeft - 10, place + 5, "text-anchor=\"end\"", label(tick));
  }
  for (const double tick : x.ticks)
    svg += text(at_x(x, tick), kBottom + 24, "text-anchor=\"middle\"", label(tick));
  svg += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#98a2b3\"/>\n", kLeft,
                     kBottom, kRight, kBottom);
  return svg;
}

// Leaves out values that are not finite.
std::vector<Point> points_of(const std::vector<int64_t>& steps, const std::vector<double>& losses) {
  if (steps.size() != losses.size())
    fail("plot", fmt::format("{} steps for {} losses", steps.size(), losses.size()));
  std::vector<Point> points;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (std::isfinite(losses[i]) && std::abs(losses[i]) < 1e30)
      points.push_back({static_cast<double>(steps[i]), losses[i]});
  }
  return thinned(points);
}

bool has_less(const Point& a, const Point& b) { return a.loss < b.loss; }

std::string opening(const LossCurve& curve) {
  const std::vector<std::vector<double>>& levels = curve.validation.by_level;
  const double height = kHeight + (levels.empty() ? 0 : levels_strip_height(levels[0].size()));
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" "
      "font-family=\"DejaVu Sans, sans-serif\" font-size=\"14\" fill=\"#475467\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
      kWidth, height);
  svg += text(kLeft, 36, "font-size=\"20\" fill=\"#101828\"", curve.title);
  return svg + text((kLeft + kRight) / 2, kBottom + 54, "text-anchor=\"middle\"", "step");
}

// The steps fill the whole width if there are several.
Axis step_axis(const std::vector<Point>& points) {
  Axis x = linear_axis(points.front().step, points.back().step, 8);
  if (points.back().step > points.front().step) {
    x.low = points.front().step, x.high = points.back().step;
    std::erase_if(x.ticks, [&](double tick) { return tick < x.low || tick > x.high; });
  }
  return x;
}

std::string circle(const Point& point, const Axis& x, const Axis& y, double radius,
                   const char* fill) {
  return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"/>\n",
                     at_x(x, point.step), at_y(y, point.loss), radius, fill);
}

std::string summary(double y, const char* fill, const char* what,
                    const std::vector<Point>& points) {
  return text(kRight, y, fmt::format("text-anchor=\"end\" fill=\"{}\"", fill).c_str(),
              fmt::format("{}now {:.4g}, lowest {:.4g}", what, points.back().loss,
                          std::min_element(points.begin(), points.end(), has_less)->loss));
}

// The line of the pictures held out, with dots where they are few, and the strip.
std::string validation_svg(const ValidationCurve& validation, const std::vector<Point>& points,
                           const Axis& x, const Axis& y) {
  constexpr const char* kColour = "#d9480f";
  constexpr size_t kFew = 60;
  std::string svg = polyline(points, x, y, "stroke=\"#d9480f\" stroke-width=\"2\"");
  for (size_t i = 0; points.size() <= kFew && i < points.size(); ++i)
    svg += circle(points[i], x, y, 3.5, kColour);
  svg += summary(50, kColour, "held out: ", points);
  if (validation.by_level.empty()) return svg;
  return svg + levels_strip_svg({.steps = validation.steps,
                                 .by_level = validation.by_level,
                                 .left = kLeft,
                                 .right = kRight,
                                 .top = kBottom + 60,
                                 .first_step = x.low,
                                 .last_step = x.high});
}

}  // namespace

std::string loss_curve_svg(const LossCurve& curve) {
  const std::vector<Point> points = points_of(curve.steps, curve.losses);
  const std::vector<Point> held_out = points_of(curve.validation.steps, curve.validation.losses);
  std::string svg = opening(curve);
  if (points.empty()) {
    svg += axes(linear_axis(0, 1, 5), linear_axis(0, 1, 5));
    svg += text((kLeft + kRight) / 2, (kTop + kBottom) / 2,
                "text-anchor=\"middle\" font-size=\"18\"", "no values yet");
    return svg + "</svg>\n";
  }
  std::vector<Point> all = points;
  all.insert(all.end(), held_out.begin(), held_out.end());
  const double low = std::min_element(all.begin(), all.end(), has_less)->loss;
  const double high = std::max_element(all.begin(), all.end(), has_less)->loss;
  const bool logarithmic = low > 0 && high > 10 * low;
  const Axis y = logarithmic ? log_axis(low, high) : linear_axis(std::min(0.0, low), high, 6);
  const Axis x = step_axis(points);
  svg += axes(x, y);
  if (points.size() == 1) {
    svg += circle(points[0], x, y, 5, "#1f6feb");
  } else {
    const std::vector<Point> smooth = smoothed(points, logarithmic);
    svg += polyline(points, x, y, "stroke=\"#9cc3f7\" stroke-width=\"1\"");
    svg += polyline(smooth, x, y, "stroke=\"#1f6feb\" stroke-width=\"3\"");
    const bool alone = held_out.empty();
    svg += summary(alone ? 36 : 28, "#1f6feb", alone ? "" : "training: ", smooth);
  }
  if (!held_out.empty()) svg += validation_svg(curve.validation, held_out, x, y);
  return svg + "</svg>\n";
}

}  // namespace ddpm
