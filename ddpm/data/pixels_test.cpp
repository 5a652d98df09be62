#include "ddpm/data/pixels.h"

#include <gtest/gtest.h>

#include <limits>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

Tensor bytes(Shape shape, const std::vector<int>& values) {
  Tensor result(shape, DType::kUInt8);
  for (size_t i = 0; i < values.size(); ++i) result.u8()[i] = static_cast<uint8_t>(values[i]);
  return result;
}

std::vector<int> values(const Tensor& tensor) {
  return {tensor.u8(), tensor.u8() + tensor.elements()};
}

TEST(PixelsTest, SizesAreOneSideOrHeightByWidth) {
  EXPECT_EQ(parse_image_size("32"), (ImageSize{32, 32}));
  EXPECT_EQ(parse_image_size("48x64"), (ImageSize{48, 64}));
  for (const char* bad : {"", "0", "-3", "32x", "x32", "32x32x3", "a", "32 ", "3.5", "99999", "+4"})
    EXPECT_THROW(parse_image_size(bad), UsageError) << bad;
}

TEST(PixelsTest, Colours) {
  EXPECT_EQ(parse_colour("#FF8000"), (Colour{255, 128, 0}));
  EXPECT_EQ(parse_colour("#f80"), (Colour{255, 136, 0}));
  EXPECT_EQ(parse_colour("grey"), (Colour{128, 128, 128}));
  for (const char* bad : {"", "#", "red", "#12345", "#gggggg", "ff8000"})
    EXPECT_THROW(parse_colour(bad), UsageError) << bad;
}

TEST(PixelsTest, BytesGoToFloatsAndBack) {
  Tensor all({256}, DType::kUInt8);
  for (int i = 0; i < 256; ++i) all.u8()[i] = static_cast<uint8_t>(i);
  const Tensor floats = to_floats(all);
  EXPECT_EQ(floats.f32()[0], -1.0f);
  EXPECT_EQ(floats.f32()[255], 1.0f);
  EXPECT_EQ(values(to_bytes(floats)), values(all));
}

TEST(PixelsTest, WhatIsNoPictureIsClamped) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::of({6}, {nan, infinity, -infinity, 7.0f, -7.0f, 0.0f});
  EXPECT_EQ(values(to_bytes(x)), (std::vector<int>{0, 255, 0, 255, 0, 128}));
}

TEST(PixelsTest, TransparencyIsComposited) {
  const Tensor image = bytes({1, 3, 4}, {200, 100, 0, 255, 200, 100, 0, 0, 200, 100, 0, 128});
  const Tensor flat = convert_channels(image, 3, Colour{0, 0, 255});
  EXPECT_EQ(values(flat), (std::vector<int>{200, 100, 0, 0, 0, 255, 100, 50, 127}));
}

TEST(PixelsTest, GreyStaysGreyThroughColours) {
  Tensor grey({16, 16, 1}, DType::kUInt8);
  for (int i = 0; i < 256; ++i) grey.u8()[i] = static_cast<uint8_t>(i);
  const Colour black{0, 0, 0};
  EXPECT_EQ(values(convert_channels(convert_channels(grey, 3, black), 1, black)), values(grey));
  EXPECT_EQ(values(convert_channels(convert_channels(grey, 4, black), 1, black)), values(grey));
}

TEST(PixelsTest, FewestChannels) {
  EXPECT_EQ(channels_needed(bytes({1, 2, 3}, {5, 5, 5, 9, 9, 9})), 1);
  EXPECT_EQ(channels_needed(bytes({1, 2, 3}, {5, 5, 5, 9, 9, 8})), 3);
  EXPECT_EQ(channels_needed(bytes({1, 1, 4}, {5, 5, 5, 255})), 1);
  EXPECT_EQ(channels_needed(bytes({1, 1, 4}, {5, 6, 5, 255})), 3);
  EXPECT_EQ(channels_needed(bytes({1, 1, 4}, {5, 5, 5, 254})), 4);
}

TEST(PixelsTest, GridPlacesEveryPicture) {
  const Tensor images = bytes({3, 1, 2, 1}, {1, 2, 3, 4, 5, 6});
  const Tensor grid = make_grid(images, {.columns = 2, .scale = 1, .gap = 1, .background = 9});
  ASSERT_EQ(grid.shape(), (Shape{5, 7, 1}));
  EXPECT_EQ(values(grid), (std::vector<int>{9, 9, 9, 9, 9, 9, 9,  //
                                            9, 1, 2, 9, 3, 4, 9,  //
                                            9, 9, 9, 9, 9, 9, 9,  //
                                            9, 5, 6, 9, 9, 9, 9,  //
                                            9, 9, 9, 9, 9, 9, 9}));
}

TEST(PixelsTest, GridIsNearSquareAndScaled) {
  const Tensor images(Shape{10, 4, 4, 3}, DType::kUInt8);
  EXPECT_EQ(make_grid(images).shape(), (Shape{3 * 6 + 2, 4 * 6 + 2, 3}));
  const Tensor one = bytes({1, 1, 2, 1}, {1, 2});
  EXPECT_EQ(values(make_grid(one, {.scale = 2, .gap = 0})),
            (std::vector<int>{1, 1, 2, 2, 1, 1, 2, 2}));
  EXPECT_THROW(make_grid(Tensor(Shape{0, 4, 4, 3}, DType::kUInt8)), Error);
}

TEST(Grid, ItsSizeIsKnownBeforeItIsMade) {
  for (const int64_t count : {1, 2, 5, 9, 10}) {
    for (const int64_t columns : {0, 1, 4, 20}) {
      const GridOptions options{.columns = columns, .scale = 2, .gap = 3};
      const Tensor grid = make_grid(Tensor({count, 3, 5, 1}, DType::kUInt8), options);
      EXPECT_EQ(grid_size(count, {3, 5}, options), (ImageSize{grid.size(0), grid.size(1)}));
    }
  }
}

TEST(Grid, SizesBeyondAllNumbersAreRefused) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_THROW(grid_size(1, {8, 8}, {.scale = most}), UsageError);
  EXPECT_THROW(grid_size(most, {8, 8}, {.columns = 1}), UsageError);
  EXPECT_THROW(grid_size(most, {1, 8}, {.columns = most}), UsageError);
  EXPECT_THROW(grid_size(0, {8, 8}), UsageError);
}

TEST(Ppm, HoldsTheColoursRowByRow) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "picture.ppm";
  Tensor grey({1, 2, 1}, DType::kUInt8);
  grey.u8()[0] = 'a';
  grey.u8()[1] = 'b';
  write_ppm(path, grey);
  EXPECT_EQ(read_file(path), "P6 2 1 255\naaabbb");
  EXPECT_THROW(write_ppm(folder / "absent/picture.ppm", grey), SystemError);
}

}  // namespace
}  // namespace ddpm
