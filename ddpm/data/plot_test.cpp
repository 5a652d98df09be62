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

TEST(PlotTest, TitlesAreEscaped) {
  EXPECT_EQ(count(loss_curve_svg({{}, {}, "a<b & c"}), "a&lt;b &amp; c"), 1);
}

}  // namespace
}  // namespace ddpm
