#include "ddpm/data/resize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

Tensor filled(int64_t height, int64_t width, const std::vector<int>& pixel) {
  Tensor image({height, width, static_cast<int64_t>(pixel.size())}, DType::kUInt8);
  for (int64_t i = 0; i < image.elements(); ++i)
    image.u8()[i] = static_cast<uint8_t>(pixel[i % pixel.size()]);
  return image;
}

TEST(ResizeTest, AFlatPictureStaysFlat) {
  for (const int64_t side : {1, 2, 5, 31, 32, 33, 200}) {
    const Tensor fitted = fit_image(filled(side, 2 * side + 1, {200, 10, 255}), {32, 24});
    ASSERT_EQ(fitted.shape(), (Shape{32, 24, 3}));
    for (int64_t i = 0; i < fitted.elements(); ++i)
      ASSERT_EQ(fitted.u8()[i], (std::vector<int>{200, 10, 255})[i % 3]) << side;
  }
}

TEST(ResizeTest, CuttingAloneKeepsEveryByte) {
  Tensor image({4, 7, 1}, DType::kUInt8);
  for (int64_t i = 0; i < 28; ++i) image.u8()[i] = static_cast<uint8_t>(i * 9);
  const Tensor fitted = fit_image(image, {4, 4});
  for (int64_t y = 0; y < 4; ++y)
    for (int64_t x = 0; x < 4; ++x)
      // The offset is (7 - 4) / 2, rounded down.
      EXPECT_EQ(fitted.u8()[y * 4 + x], image.u8()[y * 7 + x + 1]);
}

TEST(ResizeTest, TheCentreIsKept) {
  // Red sides, and a green middle as wide as it is high.
  Tensor image = filled(40, 120, {255, 0, 0});
  for (int64_t y = 0; y < 40; ++y)
    for (int64_t x = 40; x < 80; ++x) {
      image.u8()[(y * 120 + x) * 3] = 0;
      image.u8()[(y * 120 + x) * 3 + 1] = 255;
    }
  const Tensor fitted = fit_image(image, {10, 10});
  for (int64_t y = 0; y < 10; ++y)
    for (int64_t x = 2; x < 8; ++x) EXPECT_NEAR(fitted.u8()[(y * 10 + x) * 3 + 1], 255, 12);
}

TEST(ResizeTest, ACircleStaysRound) {
  const int64_t height = 90, width = 210;
  Tensor image = filled(height, width, {0});
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      if (std::hypot(y + 0.5 - 45, x + 0.5 - 105) < 30) image.u8()[y * width + x] = 255;
  for (const ImageSize size : {ImageSize{30, 30}, ImageSize{45, 60}, ImageSize{180, 200}}) {
    const Tensor fitted = fit_image(image, size);
    // The second moments of a disc of radius r about its centre are r^2 / 4 along both axes.
    double mass = 0, yy = 0, xx = 0;
    for (int64_t y = 0; y < size.height; ++y) {
      for (int64_t x = 0; x < size.width; ++x) {
        const double value = fitted.u8()[y * size.width + x];
        const double dy = y + 0.5 - size.height / 2.0, dx = x + 0.5 - size.width / 2.0;
        mass += value, yy += value * dy * dy, xx += value * dx * dx;
      }
    }
    // All sizes are at most 210 : 90 wide, so the height decides the scale.
    const double radius = size.height / 3.0;
    EXPECT_NEAR(std::sqrt(4 * yy / mass), radius, 0.03 * radius);
    EXPECT_NEAR(xx / yy, 1, 0.02);
  }
}

TEST(ResizeTest, ColoursUnderTransparencyDoNotShow) {
  // Opaque white beside transparent red must give no pink edge.
  Tensor image = filled(64, 64, {255, 255, 255, 255});
  for (int64_t y = 0; y < 64; ++y) {
    for (int64_t x = 30; x < 64; ++x) {
      uint8_t* pixel = image.u8() + (y * 64 + x) * 4;
      pixel[1] = pixel[2] = pixel[3] = 0;
    }
  }
  const Tensor fitted = fit_image(image, {12, 12});
  bool edge = false;
  for (int64_t i = 0; i < 144; ++i) {
    const uint8_t* pixel = fitted.u8() + i * 4;
    if (pixel[3] == 0) continue;
    edge = edge || pixel[3] < 255;
    EXPECT_GE(pixel[1], 250);
    EXPECT_GE(pixel[2], 250);
  }
  EXPECT_TRUE(edge);
}

TEST(ResizeTest, FinePatternsAverageOut) {
  Tensor image = filled(128, 128, {0});
  for (int64_t y = 0; y < 128; ++y)
    for (int64_t x = 0; x < 128; ++x) image.u8()[y * 128 + x] = (x + y) % 2 == 0 ? 0 : 255;
  const Tensor fitted = fit_image(image, {16, 16});
  for (int64_t y = 1; y < 15; ++y)
    for (int64_t x = 1; x < 15; ++x) EXPECT_NEAR(fitted.u8()[y * 16 + x], 127.5, 3);
}

TEST(ResizeTest, ExtremeShapesWork) {
  EXPECT_EQ(fit_image(filled(1, 5000, {7}), {32, 32}).u8()[500], 7);
  EXPECT_EQ(fit_image(filled(5000, 1, {7}), {16, 64}).u8()[500], 7);
  EXPECT_THROW(fit_image(filled(4, 4, {7}), {0, 4}), Error);
  EXPECT_THROW(fit_image(filled(4, 4, {7, 8}), {2, 2}), Error);
}

Fitting fitting(ImageSize size, Fit fit, Colour background = {9, 9, 9}) {
  Fitting wanted(size);
  wanted.fit = fit;
  wanted.background = background;
  return wanted;
}

TEST(ResizeTest, ContainShowsTheWholePictureWithBorders) {
  const Tensor wide = fit_image(filled(10, 40, {200}), fitting({16, 16}, Fit::kContain));
  ASSERT_EQ(wide.shape(), (Shape{16, 16, 1}));
  for (int64_t y = 0; y < 16; ++y) {
    const int expected = y >= 6 && y < 10 ? 200 : 9;
    for (int64_t x = 0; x < 16; ++x) EXPECT_EQ(wide.u8()[y * 16 + x], expected) << y << " " << x;
  }
  const Tensor high = fit_image(filled(8, 2, {200}), fitting({16, 16}, Fit::kContain));
  for (int64_t x = 0; x < 16; ++x) EXPECT_EQ(high.u8()[x], x >= 6 && x < 10 ? 200 : 9);
}

TEST(ResizeTest, PadDoesNotEnlarge) {
  const Tensor image = filled(3, 2, {50, 60, 70});
  const Tensor padded = fit_image(image, fitting({6, 5}, Fit::kPad));
  int64_t inside = 0;
  for (int64_t i = 0; i < 30; ++i) inside += padded.u8()[3 * i] == 50;
  EXPECT_EQ(inside, 6);
  // Larger pictures are made to fit.
  const Tensor large = filled(30, 10, {50, 60, 70});
  const Tensor contained = fit_image(large, fitting({6, 6}, Fit::kContain));
  const Tensor shrunk = fit_image(large, fitting({6, 6}, Fit::kPad));
  EXPECT_TRUE(std::equal(shrunk.u8(), shrunk.u8() + shrunk.elements(), contained.u8()));
}

TEST(ResizeTest, BordersHaveTheBackgroundOrAreTransparent) {
  const Colour red = {255, 0, 0};
  const Tensor grey = fit_image(filled(1, 4, {7}), fitting({4, 4}, Fit::kPad, red));
  ASSERT_EQ(grey.size(2), 3);
  EXPECT_EQ(grey.u8()[0], 255);
  EXPECT_EQ(grey.u8()[1], 0);
  const Tensor clear = fit_image(filled(1, 4, {7, 8, 9, 10}), fitting({4, 4}, Fit::kPad, red));
  ASSERT_EQ(clear.size(2), 4);
  EXPECT_EQ(clear.u8()[3], 0);
}

TEST(ResizeTest, ExtremePicturesKeepAPixel) {
  EXPECT_EQ(scaled_size({1, 5000}, fitting({8, 8}, Fit::kContain)), (ImageSize{1, 8}));
  EXPECT_EQ(scaled_size({5000, 1}, fitting({8, 8}, Fit::kPad)), (ImageSize{8, 1}));
  EXPECT_EQ(fit_image(filled(1, 5000, {7}), fitting({8, 8}, Fit::kContain)).size(0), 8);
}

TEST(ResizeTest, UncutPicturesCoverTheSize) {
  Fitting uncut(ImageSize{8, 6});
  uncut.uncut = true;
  for (const ImageSize picture : {ImageSize{8, 6}, ImageSize{9, 31}, {31, 9}, {1, 1}, {7, 5}}) {
    const ImageSize scaled = scaled_size(picture, uncut);
    EXPECT_TRUE(scaled.height == 8 || scaled.width == 6);
    EXPECT_TRUE(scaled.height >= 8 && scaled.width >= 6);
  }
  EXPECT_EQ(scaled_size({9, 31}, uncut), (ImageSize{8, 27}));
  EXPECT_EQ(scaled_size({1, 5000}, uncut), (ImageSize{8, 6 * kMostUncut}));
}

TEST(ResizeTest, PlacesReachBothEnds) {
  Tensor image({1, 10, 1}, DType::kUInt8);
  for (int64_t x = 0; x < 10; ++x) image.u8()[x] = static_cast<uint8_t>(x);
  uint8_t out[4];
  const auto first_at = [&](const uint64_t* place) {
    cut_image(image, {1, 4}, place, out);
    EXPECT_EQ(out[3], out[0] + 3);
    return static_cast<int>(out[0]);
  };
  const uint64_t left = 0, right = ~uint64_t{0};
  EXPECT_EQ(first_at(nullptr), 3);
  EXPECT_EQ(first_at(&left), 0);
  EXPECT_EQ(first_at(&right), 6);
}

TEST(ResizeTest, WaysAreNamed) {
  EXPECT_THROW(parse_fit("stretch"), UsageError);
  EXPECT_THROW(parse_crop("left"), UsageError);
  EXPECT_THROW(check_crop("contain", "random"), UsageError);
  EXPECT_EQ(parse_fit("pad"), Fit::kPad);
  check_crop("cover", "random");
  check_crop("pad", "centre");
}

}  // namespace
}  // namespace ddpm
