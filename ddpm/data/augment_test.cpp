#include "ddpm/data/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

// Smooth pictures [N, H, W, C] with values in [-1, 1].
Tensor random_pictures(const Shape& shape, uint64_t seed) {
  Tensor pictures(shape);
  const Philox random(seed);
  for (int64_t i = 0; i < pictures.elements(); ++i)
    pictures.f32()[i] = 2 * random.uniform(static_cast<uint64_t>(i)) - 1;
  return pictures;
}

Tensor one(const Tensor& picture, const Augmentation& augmentation) {
  return augmented(picture, {augmentation});
}

// The place in the source, as complex numbers from the centre with the imaginary axis pointing up,
// found by undoing one operation after the other, the last first.
std::complex<double> source_of(std::complex<double> place, const Augmentation& a, double height,
                               double width) {
  using std::numbers::pi;
  place -= std::complex<double>(a.shift_x * width / 8, -a.shift_y * height / 8);
  const std::complex<double> direction = std::polar(1.0, a.direction);
  const std::complex<double> along = place / direction;
  const double factor = std::pow(2.0, 0.2 * a.stretch);
  place = std::complex<double>(along.real() / factor, along.imag() * factor) * direction;
  place /= std::polar(1.0, a.turn);
  place /= std::pow(2.0, 0.2 * a.scale);
  if (a.mirror_x) place = -std::conj(place);
  if (a.mirror_y) place = std::conj(place);
  return place;
}

double cubic(double x) {
  x = std::abs(x);
  if (x >= 2) return 0;
  return x < 1 ? 1.5 * x * x * x - 2.5 * x * x + 1 : -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2;
}

// A pixel of a picture that goes on mirrored for ever.
double endless(const Tensor& picture, int64_t y, int64_t x, int64_t c) {
  const auto inside = [](int64_t i, int64_t size) {
    while (size > 1 && (i < 0 || i >= size)) i = i < 0 ? -i : 2 * (size - 1) - i;
    return size > 1 ? i : 0;
  };
  const int64_t height = picture.size(1), width = picture.size(2);
  return picture.f32()[(inside(y, height) * width + inside(x, width)) * picture.size(3) + c];
}

// How far a step of one pixel in any direction of the result reaches along an axis of the source,
// found by trying many directions.
double reach(const Augmentation& a, double height, double width, bool along_x) {
  double most = 1;
  const std::complex<double> origin = source_of(0, a, height, width);
  for (int i = 0; i < 20000; ++i) {
    const auto step = std::polar(1.0, 2 * std::numbers::pi * i / 20000);
    const std::complex<double> moved = source_of(step, a, height, width) - origin;
    most = std::max(most, std::abs(along_x ? moved.real() : moved.imag()));
  }
  return most;
}

// All pixels within a wide window, with the weights normalised.
double slow_pixel(const Tensor& picture, const Augmentation& a, int64_t y, int64_t x, int64_t c,
                  double reach_x, double reach_y) {
  const double height = static_cast<double>(picture.size(1));
  const double width = static_cast<double>(picture.size(2));
  const double cx = (width - 1) / 2, cy = (height - 1) / 2;
  const std::complex<double> source =
      source_of({static_cast<double>(x) - cx, cy - static_cast<double>(y)}, a, height, width);
  const double sx = source.real() + cx, sy = cy - source.imag();
  double sum = 0, weights = 0;
  const auto near_x = static_cast<int64_t>(sx), near_y = static_cast<int64_t>(sy);
  for (int64_t j = near_y - 9; j <= near_y + 9; ++j) {
    for (int64_t i = near_x - 9; i <= near_x + 9; ++i) {
      const double weight = cubic((static_cast<double>(i) - sx) / reach_x) *
                            cubic((static_cast<double>(j) - sy) / reach_y);
      sum += weight * endless(picture, j, i, c);
      weights += weight;
    }
  }
  return std::clamp(sum / weights, -1.0, 1.0);
}

void expect_as_slow(const Tensor& picture, const Augmentation& a, const std::string& what) {
  const Tensor fast = one(picture, a);
  const double height = static_cast<double>(picture.size(1));
  const double width = static_cast<double>(picture.size(2));
  const double reach_x = reach(a, height, width, true), reach_y = reach(a, height, width, false);
  const int64_t channels = picture.size(3);
  for (int64_t i = 0; i < picture.elements(); ++i) {
    const int64_t x = i / channels % picture.size(2), y = i / channels / picture.size(2);
    ASSERT_NEAR(fast.f32()[i], slow_pixel(picture, a, y, x, i % channels, reach_x, reach_y), 1e-5)
        << what << " " << i;
  }
}

TEST(Augmented, EachOperationIsThatOfASlowReference) {
  const Tensor picture = random_pictures({1, 7, 10, 3}, 1);
  expect_as_slow(picture, {}, "none");
  expect_as_slow(picture, {.mirror_x = true}, "mirror_x");
  expect_as_slow(picture, {.mirror_y = true}, "mirror_y");
  expect_as_slow(picture, {.scale = 1.5}, "larger");
  expect_as_slow(picture, {.scale = -2.5}, "smaller");
  expect_as_slow(picture, {.turn = 0.7}, "turn");
  expect_as_slow(picture, {.stretch = 2}, "stretch");
  expect_as_slow(picture, {.stretch = 2, .direction = 0.9}, "stretch in a direction");
  expect_as_slow(picture, {.shift_x = 0.6, .shift_y = -1.3}, "shift");
  expect_as_slow(picture, {.shift_x = 20}, "far shift");
  expect_as_slow(picture,
                 {.mirror_x = true,
                  .mirror_y = true,
                  .scale = -1,
                  .turn = 2.2,
                  .stretch = -1.2,
                  .direction = -2,
                  .shift_x = 0.3,
                  .shift_y = 0.8},
                 "all");
  expect_as_slow(random_pictures({1, 1, 5, 1}, 2), {.turn = 0.4, .shift_y = 3}, "one row");
}

// What the words mean, without interpolation: a quarter turn, and a shift by whole pixels.
TEST(Augmented, DirectionsAreThoseOfTheWords) {
  const Tensor picture = Tensor::of({1, 2, 2, 1}, {0.1f, 0.2f, 0.3f, 0.4f});
  const auto near = [](const Tensor& a, const std::vector<float>& wanted) {
    for (int64_t i = 0; i < a.elements(); ++i) EXPECT_NEAR(a.f32()[i], wanted[i], 1e-6) << i;
  };
  EXPECT_EQ(one(picture, {.mirror_x = true}).values(),
            (std::vector<float>{0.2f, 0.1f, 0.4f, 0.3f}));
  EXPECT_EQ(one(picture, {.mirror_y = true}).values(),
            (std::vector<float>{0.3f, 0.4f, 0.1f, 0.2f}));
  near(one(picture, {.turn = std::numbers::pi / 2}), {0.2f, 0.4f, 0.1f, 0.3f});
  const Tensor row = Tensor::of({1, 1, 8, 1}, {0, 0, 0, 1, 0, 0, 0, 0});
  near(one(row, {.shift_x = 2}), {0, 0, 0, 0, 0, 1, 0, 0});
}

TEST(Augmented, SmoothPicturesAreShrunkAndEnlargedAboutTheCentre) {
  // A parabola, whose values away from the borders follow from its scale.
  Tensor picture({1, 33, 33, 1});
  for (int64_t i = 0; i < picture.elements(); ++i) {
    const int64_t column = i % 33, row = i / 33;
    const double x = static_cast<double>(column - 16) / 16, y = static_cast<double>(row - 16) / 16;
    picture.f32()[i] = static_cast<float>(x * x + 0.3 * y - 0.5);
  }
  const Tensor larger = one(picture, {.scale = 5});
  EXPECT_NEAR(larger.f32()[16 * 33 + 26], 25.0 / 256 - 0.5, 1e-3);
  EXPECT_NEAR(larger.f32()[26 * 33 + 16], 0.3 * 5 / 16 - 0.5, 1e-3);
}

TEST(Augmented, TransparentColoursDoNotShow) {
  // Red and opaque beside green and transparent.
  Tensor picture({1, 4, 8, 4});
  for (int64_t p = 0; p < 32; ++p) {
    const bool red = p % 8 < 4;
    const float pixel[] = {red ? 1.0f : -1.0f, red ? -1.0f : 1.0f, -1, red ? 1.0f : -1.0f};
    std::copy_n(pixel, 4, picture.f32() + 4 * p);
  }
  const Tensor turned = one(picture, {.turn = 0.5, .shift_x = 0.3});
  for (int64_t p = 0; p < 32; ++p) {
    const float* pixel = turned.f32() + 4 * p;
    if (pixel[3] < -0.99f) continue;
    EXPECT_NEAR(pixel[0], 1, 1e-5) << p;
    EXPECT_NEAR(pixel[1], -1, 1e-5) << p;
  }
}

TEST(DrawAugmentation, ProbabilityZeroDoesNothing) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Augmentation drawn = draw_augmentation(0, seed);
    EXPECT_TRUE(drawn.keeps_geometry() && !drawn.mirror_x && !drawn.mirror_y);
    EXPECT_EQ(told_of(drawn), (std::array<float, kAugmentChannels>{}));
  }
}

TEST(DrawAugmentation, HasTheFrequenciesAndMomentsOfThePaper) {
  constexpr int kDraws = 20000;
  constexpr double kProbability = 0.3;
  double mirrored_x = 0, mirrored_y = 0, scaled = 0, turned = 0, stretched = 0, shifted = 0;
  double along_rows = 0, squares = 0, sines = 0;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    const Augmentation a = draw_augmentation(kProbability, mix_seed(1, seed));
    mirrored_x += a.mirror_x, mirrored_y += a.mirror_y;
    scaled += a.scale != 0, turned += a.turn != 0, stretched += a.stretch != 0;
    shifted += a.shift_x != 0;
    EXPECT_EQ(a.shift_x != 0, a.shift_y != 0);
    along_rows += a.stretch != 0 && a.direction == 0;
    squares +=
        a.scale * a.scale + a.stretch * a.stretch + a.shift_x * a.shift_x + a.shift_y * a.shift_y;
    sines += std::sin(a.turn) * std::sin(a.turn);
  }
  const auto share = [](double count, double wanted) {
    EXPECT_NEAR(count / kDraws, wanted, 4 * std::sqrt(wanted * (1 - wanted) / kDraws));
  };
  share(mirrored_x, 0.5);
  share(mirrored_y, kProbability / 2);
  share(scaled, kProbability);
  share(turned, kProbability);
  share(stretched, kProbability);
  share(shifted, kProbability);
  share(along_rows, kProbability / 2);
  // Sums of four normal numbers: the variance of each square is 3 p - p^2.
  EXPECT_NEAR(squares / kDraws, 4 * kProbability, 4 * std::sqrt(5 * kProbability / kDraws) * 2);
  EXPECT_NEAR(sines / kDraws, kProbability / 2, 4 * std::sqrt(kProbability / kDraws));
}

TEST(DrawAugmentation, WhatIsToldIsWhatIsDone) {
  const Augmentation a{.mirror_y = true,
                       .scale = 1.5,
                       .turn = -0.5,
                       .stretch = 2,
                       .direction = 0.25,
                       .shift_x = -1,
                       .shift_y = 3};
  const float wanted[] = {0,
                          1,
                          1.5f,
                          static_cast<float>(std::cos(0.5) - 1),
                          static_cast<float>(-std::sin(0.5)),
                          static_cast<float>(2 * std::cos(0.25)),
                          static_cast<float>(2 * std::sin(0.25)),
                          -1,
                          3};
  const auto told = told_of(a);
  for (size_t i = 0; i < told.size(); ++i) EXPECT_FLOAT_EQ(told[i], wanted[i]) << i;
}

TEST(AugmentedBatch, DependsOnThePositionAloneAndTreatsConditionsAlike) {
  const test::ThreadsScope scope;
  Batch batch = random_pictures({12, 6, 8, 3}, 1);
  batch.condition = batch.images.clone();
  batch.labels = Tensor::full({12}, 1);
  set_num_threads(1);
  const Batch all = augmented(batch, 0.5, 7, 100);
  EXPECT_EQ(all.condition.values(), all.images.values());
  EXPECT_EQ(all.labels.values(), batch.labels.values());
  EXPECT_EQ(all.augment.shape(), Shape({12, kAugmentChannels}));
  EXPECT_NE(all.images.values(), batch.images.values());
  set_num_threads(3);
  EXPECT_EQ(augmented(batch, 0.5, 7, 100).images.values(), all.images.values());
  const Batch last = augmented(Batch(batch.images.rows(9, 12)), 0.5, 7, 109);
  EXPECT_EQ(last.images.values(), all.images.rows(9, 12).values());
  EXPECT_EQ(last.augment.values(), all.augment.rows(9, 12).values());
  const Batch none = augmented(batch, 0, 7, 100);
  EXPECT_EQ(none.images.values(), batch.images.values());
  for (const float told : none.augment.values()) EXPECT_EQ(told, 0);
}

TEST(AugmentedBatch, RefusesWhatDoesNotFit) {
  EXPECT_THROW(augmented(random_pictures({2, 4, 4, 1}, 1), std::vector<Augmentation>(1)), Error);
}

}  // namespace
}  // namespace ddpm
