#include "ddpm/eval/square_pictures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "ddpm/data/pixels.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using ddpm::test::message_of;

Tensor bytes(Shape shape, const std::vector<int>& values) {
  Tensor tensor(shape, DType::kUInt8);
  for (size_t i = 0; i < values.size(); ++i) tensor.u8()[i] = static_cast<uint8_t>(values[i]);
  return tensor;
}

// [1, height, width, 1]: 10 row + 3 column.
Tensor ramp(int64_t height, int64_t width) {
  Tensor tensor({1, height, width, 1}, DType::kUInt8);
  for (int64_t i = 0; i < height; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      tensor.u8()[i * width + j] = static_cast<uint8_t>(10 * i + 3 * j);
    }
  }
  return tensor;
}

TEST(SquarePictures, AtTheirSizeKeepTheirPixels) {
  const Tensor picture = ramp(8, 8);
  const Tensor same = to_bytes(square_pictures(picture, 8)), wanted = three_channels(picture);
  EXPECT_TRUE(std::equal(same.u8(), same.u8() + same.elements(), wanted.u8()));
}

TEST(SquarePictures, HalveByWeightsOneThreeThreeOne) {
  const Tensor small = square_pictures(ramp(16, 16), 8);
  // A ramp stays a ramp, except at the borders, where the filter is cut.
  for (int64_t i = 1; i < 7; ++i) {
    for (int64_t j = 1; j < 7; ++j) {
      const double mean =
          10 * (2 * static_cast<double>(i) + 0.5) + 3 * (2 * static_cast<double>(j) + 0.5);
      EXPECT_FLOAT_EQ(small.f32()[(i * 8 + j) * 3], static_cast<float>(mean / 127.5 - 1));
    }
  }
  // At the border three weights are left: 3, 3, 1.
  const double cut = (3 * 0 + 3 * 1 + 1 * 2) / 7.0;
  EXPECT_FLOAT_EQ(small.f32()[0], static_cast<float>((10 * cut + 3 * cut) / 127.5 - 1));
}

TEST(SquarePictures, EnlargeLinearly) {
  const Tensor large = square_pictures(bytes({1, 1, 2, 1}, {0, 200}), 8);
  // Target pixel 3 has its centre at 3.5 / 4 = 0.875 source pixels, which lies 3/8 of the way from
  // the centre of the first pixel to that of the second.
  EXPECT_FLOAT_EQ(large.f32()[3 * 3], static_cast<float>(75 / 127.5 - 1));
  EXPECT_EQ(large.f32()[0], -1.0f);
}

TEST(SquarePictures, FlatPicturesStayFlatAtAnySize) {
  for (const int64_t side : {1, 7, 33, 500}) {
    Tensor flat({1, side, 2 * side, 3}, DType::kUInt8);
    std::fill_n(flat.u8(), flat.elements(), uint8_t{255});
    for (const float value : square_pictures(flat, 32).values()) ASSERT_EQ(value, 1.0f);
  }
}

TEST(SquarePictures, PutTransparentPixelsOnWhite) {
  const Tensor picture = bytes({1, 1, 2, 4}, {10, 20, 30, 255, 10, 20, 30, 0});
  const Tensor opaque = three_channels(picture);
  EXPECT_EQ(std::vector<uint8_t>(opaque.u8(), opaque.u8() + 6),
            (std::vector<uint8_t>{10, 20, 30, 255, 255, 255}));
}

TEST(SquarePictures, RefuseWhatIsNotAPicture) {
  for (const Tensor& wrong :
       {Tensor({2, 4, 4, 3}), Tensor({4, 4, 3}, DType::kUInt8), Tensor({2, 4, 4, 2}, DType::kUInt8),
        Tensor({2, 0, 4, 3}, DType::kUInt8)}) {
    EXPECT_NE(message_of([&] { square_pictures(wrong, 32); }).find("bytes [N, H, W, 1, 3 or 4]"),
              std::string::npos);
  }
  EXPECT_NE(message_of([] { square_pictures(Tensor(), 32); }).find("empty"), std::string::npos);
  EXPECT_NE(message_of([] {
              square_pictures(Tensor({1, 1, 16385, 3}, DType::kUInt8), 32);
            }).find("16384"),
            std::string::npos);
}

}  // namespace
}  // namespace ddpm
