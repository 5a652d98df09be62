#include "ddpm/data/condition.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/data/dataset.h"
#include "ddpm/data/resize.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::refusal;
using Kind = ImageCondition::Kind;

// Bytes that repeat nowhere nearby.
Tensor bytes(Shape shape) {
  Tensor image(shape, DType::kUInt8);
  for (int64_t i = 0; i < image.elements(); ++i)
    image.u8()[i] = static_cast<uint8_t>(i * i * 31 + i * 7);
  return image;
}

std::vector<int> values(const Tensor& image) { return {image.u8(), image.u8() + image.elements()}; }

TEST(Condition, TextsAreReadAndWritten) {
  EXPECT_EQ(parse_condition("none").kind, Kind::kNone);
  EXPECT_EQ(parse_condition("gray").name(), "grey");
  EXPECT_EQ(parse_condition("downscale:4").factor, 4);
  EXPECT_EQ(parse_condition("downscale:4").name(), "downscale:4");
  EXPECT_EQ(parse_condition("edges/of").folder, "edges/of");
  EXPECT_EQ(parse_condition("folder:grey").folder, "grey");
  EXPECT_EQ(parse_condition("edges").name(), "pairs");
  for (const char* wrong : {"", "folder:", "downscale", "downscale:", "downscale:1", "downscale:-2",
                            "downscale:2x", "downscale:99999999999999999999"})
    EXPECT_THROW(parse_condition(wrong), UsageError) << wrong;
  EXPECT_EQ(condition_of_model("pairs").kind, Kind::kPairs);
  EXPECT_EQ(condition_of_model("downscale:2").factor, 2);
  EXPECT_THROW(condition_of_model("edges"), UsageError);
}

TEST(Condition, WhatCannotBeIsRefusedWithWhatCould) {
  const ImageSize size{12, 16};
  EXPECT_NO_THROW(check_condition(parse_condition("downscale:4"), size, 3));
  EXPECT_NE(refusal([&] {
              check_condition(parse_condition("downscale:3"), size, 3);
            }).find("these do: 2, 4"),
            std::string::npos);
  EXPECT_NE(
      refusal([&] { check_condition(parse_condition("grey"), size, 1); }).find("--channels 3"),
      std::string::npos);
  EXPECT_NO_THROW(check_condition(parse_condition("grey"), size, 0));
}

TEST(Condition, ShrinkingTakesTheMeanOfEachSquare) {
  Tensor image({2, 4, 1}, DType::kUInt8);
  const int pixels[] = {1, 2, 250, 255, 3, 5, 255, 250};
  std::copy(std::begin(pixels), std::end(pixels), image.u8());
  EXPECT_EQ(values(shrink_image(image, 2)), (std::vector<int>{3, 253}));  // 2.75 and 252.5
  EXPECT_THROW(shrink_image(image, 4), Error);
}

TEST(Condition, TransparentPixelsHaveNoColour) {
  Tensor image({2, 2, 4}, DType::kUInt8);
  const int pixels[] = {100, 50, 0, 255, 9, 9, 9, 0, 9, 9, 9, 0, 200, 150, 100, 255};
  std::copy(std::begin(pixels), std::end(pixels), image.u8());
  EXPECT_EQ(values(shrink_image(image, 2)), (std::vector<int>{150, 100, 50, 128}));
}

TEST(Condition, APictureAndItsShrunkFileGiveTheSame) {
  const ImageCondition condition = parse_condition("downscale:4");
  for (const int64_t channels : {1, 3, 4}) {
    const Tensor picture = bytes({8, 12, channels});
    const Tensor shown = condition_image(condition, picture);
    EXPECT_EQ(shown.shape(), picture.shape());
    EXPECT_EQ(values(enlarged_condition(condition, shrink_image(picture, 4))), values(shown));
  }
  Tensor flat({8, 8, 3}, DType::kUInt8);
  std::fill_n(flat.u8(), flat.elements(), uint8_t{77});
  EXPECT_EQ(values(condition_image(condition, flat)), values(flat));
}

TEST(Condition, GreyIsTheLuminanceAndKeepsAlpha) {
  const ImageCondition grey = parse_condition("grey");
  const Tensor colours = bytes({4, 4, 3});
  EXPECT_EQ(values(condition_image(grey, colours)), values(convert_channels(colours, 1, {})));
  const Tensor transparent = bytes({4, 4, 4});
  const Tensor shown = condition_image(grey, transparent);
  ASSERT_EQ(shown.shape(), (Shape{4, 4, 2}));
  for (int64_t i = 0; i < 16; ++i) {
    EXPECT_EQ(shown.u8()[2 * i + 1], transparent.u8()[4 * i + 3]);
    const uint8_t* p = transparent.u8() + 4 * i;
    EXPECT_NEAR(shown.u8()[2 * i], 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2], 1.0);
  }
}

// A grey file shows the network what the coloured picture would.
TEST(Condition, AGreyPictureIsItsOwnLuminance) {
  const Tensor grey = bytes({4, 4, 1});
  const Tensor as_colours = convert_channels(grey, 3, {});
  EXPECT_EQ(values(condition_image(parse_condition("grey"), as_colours)), values(grey));
}

TEST(Condition, BatchesHoldTheConditionOfEachPicture) {
  const Tensor images = bytes({3, 8, 8, 3});
  const auto plain = std::make_shared<Dataset>(images, "three", ClassLabels{{0, 1, 1}, {"a", "b"}});
  for (const char* text : {"downscale:2", "grey"}) {
    const ImageCondition condition = parse_condition(text);
    const auto pictures = with_condition(plain, condition);
    EXPECT_EQ(pictures->size(), 3);
    EXPECT_EQ(pictures->condition_channels(), condition.kind == Kind::kGrey ? 1 : 3);
    EXPECT_EQ(pictures->class_names(), plain->class_names());
    EXPECT_EQ(pictures->fingerprint().hash(), plain->fingerprint().hash());
    const BatchPlan plan{{2, 0}, {0, 1}};
    const Batch batch = pictures->batch(plan);
    EXPECT_EQ(batch.images.values(), plain->batch(plan).images.values());
    EXPECT_EQ(batch.labels.values(), (std::vector<float>{1, 0}));
    const Tensor of_two = condition_image(condition, images.rows(2, 3).reshape({8, 8, 3}));
    EXPECT_EQ(values(to_bytes(batch.condition.rows(0, 1))), values(of_two));
    // A mirrored picture has its condition mirrored; enlarging rounds its own way.
    const Tensor straight = pictures->batch({{0}, {0}}).condition;
    const Tensor mirrored = batch.condition.rows(1, 2);
    const int64_t channels = straight.size(3);
    for (int64_t y = 0; y < 8; ++y) {
      for (int64_t x = 0; x < 8; ++x) {
        for (int64_t c = 0; c < channels; ++c) {
          EXPECT_NEAR(mirrored.f32()[(y * 8 + x) * channels + c],
                      straight.f32()[(y * 8 + 7 - x) * channels + c], 1.01 / 127.5);
        }
      }
    }
  }
}

TEST(Condition, ArraysHaveConditionsToo) {
  const std::vector<uint8_t> pixels(2 * 4 * 4 * 3, 200);
  const auto pictures =
      with_condition(array_pictures(pixels, {2, 4, 4, 3}), parse_condition("downscale:4"));
  const Batch batch = pictures->batch({{1}, {}});
  EXPECT_EQ(batch.condition.shape(), (Shape{1, 4, 4, 3}));
  EXPECT_EQ(batch.condition.values(), batch.images.values());
  EXPECT_THROW(with_condition(pictures, parse_condition("grey")), UsageError);
  EXPECT_THROW(with_condition(array_pictures(pixels, {2, 4, 4, 3}), parse_condition("downscale:3")),
               UsageError);
}

TEST(Condition, GridsShowEachConditionBeforeItsPictures) {
  Tensor conditions({2, 1, 1, 1}, DType::kUInt8), pictures({4, 1, 1, 3}, DType::kUInt8);
  for (int64_t i = 0; i < 2; ++i) conditions.u8()[i] = static_cast<uint8_t>(100 + i);
  for (int64_t i = 0; i < 12; ++i) pictures.u8()[i] = static_cast<uint8_t>(i / 3);
  const Tensor rows = beside_conditions(conditions, pictures);
  ASSERT_EQ(rows.shape(), (Shape{6, 1, 1, 3}));
  std::vector<int> first;
  for (int64_t i = 0; i < 6; ++i) first.push_back(rows.u8()[3 * i]);
  EXPECT_EQ(first, (std::vector<int>{100, 0, 2, 101, 1, 3}));
  EXPECT_EQ(columns_of_groups(16, 2), 6);
  EXPECT_EQ(columns_of_groups(3, 9), 9);
}

TEST(Condition, GreyWithAlphaIsShownWithAlpha) {
  Tensor two({1, 1, 1, 2}, DType::kUInt8), five({1, 1, 1, 5}, DType::kUInt8);
  two.u8()[0] = 7, two.u8()[1] = 9;
  std::fill_n(five.u8(), 5, uint8_t{4});
  EXPECT_EQ(values(viewable_condition(two)), (std::vector<int>{7, 7, 7, 9}));
  EXPECT_EQ(values(viewable_condition(five)), (std::vector<int>{4}));
}

}  // namespace
}  // namespace ddpm
