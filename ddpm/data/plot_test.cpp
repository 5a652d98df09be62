#include "ddpm/data/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

int64_t count(const std::string& text, const std::string& piece) {
  int64_t found = 0;
  for (size_t at = text.find(piece); at != text.npos; at = text.find(piece, at + 1)) ++found;
  return found;
}

LossCurve falling(int64_t length) {
  LossCurve curve;
  for (int64_t i = 0; i < length; ++i) {
    curve.steps.push_back(i * 10);
    curve.losses.push_back(0.02 + std::exp(-static_cast<double>(i) / 50));
  }
  return curve;
}

TEST(PlotTest, DrawsTheValuesAndTheirTrend) {
  const std::string svg = loss_curve_svg(falling(300));
  EXPECT_EQ(count(svg, "<polyline"), 2);
  EXPECT_NE(svg.find(">3000<") == svg.npos ? svg.find(">2500<") : 0, svg.npos);
}

TEST(PlotTest, AWideRangeIsLogarithmic) {
  EXPECT_EQ(count(loss_curve_svg(falling(300)), ">0.05<"), 1);
  EXPECT_EQ(count(loss_curve_svg({{1, 2, 3}, {0.5, 0.4, 0.3}, "t"}), ">0<"), 1);
}

TEST(PlotTest, ManyValuesMakeASmallPicture) {
  EXPECT_LT(loss_curve_svg(falling(500000)).size(), 100000u);
}

TEST(PlotTest, OddValuesAreSurvived) {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(count(loss_curve_svg({}), "no values yet"), 1);
  EXPECT_EQ(count(loss_curve_svg({{1, 2}, {nan, infinity}, "t"}), "no values yet"), 1);
  for (const LossCurve& curve :
       {LossCurve{{5}, {0.5}, "one"}, LossCurve{{5, 6}, {0.0, 0.0}, "flat"},
        LossCurve{{5, 6, 7}, {1e-9, nan, 1e9}, "wide"}, LossCurve{{5, 6}, {-3, 2}, "signs"},
        LossCurve{{7, 7}, {1, 2}, "one step"}}) {
    const std::string svg = loss_curve_svg(curve);
    EXPECT_EQ(count(svg, "nan"), 0) << curve.title;
    EXPECT_EQ(count(svg, "inf"), 0) << curve.title;
  }
  EXPECT_THROW(loss_curve_svg({{1, 2}, {1}, "t"}), Error);
}

LossCurve validated(int64_t length, int64_t every) {
  LossCurve curve = falling(length);
  for (int64_t i = every; i < length; i += every) {
    curve.validation.steps.push_back(10 * i);
    curve.validation.losses.push_back(0.05 + 2 * std::exp(-static_cast<double>(i) / 50));
    // The first level gets worse from the middle on, the second one better.
    const double share = static_cast<double>(i) / static_cast<double>(length);
    curve.validation.by_level.push_back({1 + std::abs(share - 0.5), 4 - 3 * share});
  }
  return curve;
}

TEST(PlotTest, DrawsTheValidationAndItsLevels) {
  const std::string svg = loss_curve_svg(validated(300, 10));
  EXPECT_EQ(count(svg, "<polyline"), 3);
  EXPECT_EQ(count(svg, "<circle"), 29);
  EXPECT_EQ(count(svg, "height=\"14\""), 2 * 29);
  EXPECT_EQ(count(svg, "held out: now 0.05"), 1);
  // The lowest loss of the second level is its last.
  const size_t last = svg.rfind("height=\"14\"");
  EXPECT_EQ(svg.substr(last, 26), "height=\"14\" fill=\"#eef4ff\"");
  // The axis reaches to the largest loss of both.
  LossCurve high = validated(300, 10);
  high.validation.losses[3] = 700;
  EXPECT_EQ(count(loss_curve_svg(high), ">500<"), 1);
}

TEST(PlotTest, ManyValidationsMakeASmallPicture) {
  const std::string svg = loss_curve_svg(validated(500000, 10));
  EXPECT_LT(svg.size(), 250000u);
  EXPECT_LE(count(svg, "height=\"14\""), 2 * 220);
}

TEST(PlotTest, OddValidationsAreSurvived) {
  LossCurve one{{5}, {0.5}, "one"};
  one.validation = {.steps = {5}, .losses = {0.5}, .by_level = {{0, 0.5}}};
  const std::string svg = loss_curve_svg(one);
  EXPECT_EQ(count(svg, "nan"), 0);
  EXPECT_EQ(count(svg, "inf"), 0);
  one.validation.by_level = {};
  EXPECT_EQ(count(loss_curve_svg(one), "height=\"14\""), 0);
  one.validation.by_level = {{1, 2}, {1, 2}};
  EXPECT_THROW(loss_curve_svg(one), Error);
  LossCurve uneven = validated(300, 10);
  uneven.validation.by_level[1].pop_back();
  EXPECT_THROW(loss_curve_svg(uneven), Error);
}

TEST(PlotTest, TitlesAreEscaped) {
  EXPECT_EQ(count(loss_curve_svg({{}, {}, "a<b & c"}), "a&lt;b &amp; c"), 1);
}

}  // namespace
}  // namespace ddpm
