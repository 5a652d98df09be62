// Tests how much memory one file may take.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "ddpm/base/error.h"
#include "ddpm/data/image.h"
#include "ddpm/data/image_parts.h"
#include "ddpm/data/image_test_support.h"

namespace ddpm {
namespace {

using namespace std::string_literals;
using test::decode_error;
using test::make_jpeg;
using test::make_png;
using test::repeated;

Tensor grey_square() {
  Tensor image({64, 64, 1}, DType::kUInt8);
  std::fill_n(image.u8(), image.elements(), uint8_t{90});
  return image;
}

// Returns the JPEG with another size in its header.
std::string claiming(std::string file, int marker, int side) {
  const size_t frame = test::jpeg_segment(file, marker);
  for (const size_t place : {frame + 5, frame + 7}) {
    file[place] = static_cast<char>(side >> 8);
    file[place + 1] = static_cast<char>(side);
  }
  return file;
}

void expect_reason(const std::string& file, const std::string& because) {
  for (const int64_t side : {8, 1024}) {
    const std::string reason = decode_error(file, side);
    EXPECT_NE(reason.find(because), reason.npos) << reason;
  }
}

TEST(ImageLimitsTest, PixelsCountAtFullSize) {
  const std::string progressive = make_jpeg(grey_square(), {.progressive = true});
  for (const int side : {11600, 20000, 30000, 65500})
    expect_reason(claiming(progressive, 0xc2, side), "pixels are more than the 134 million");
  expect_reason(claiming(make_jpeg(grey_square()), 0xc0, 20000), "pixels are more than");
  for (const bool interlaced : {false, true})
    expect_reason(make_png(20000, 20000, std::string(20000, 'x'), {.interlaced = interlaced}),
                  "pixels are more than");
  expect_reason(test::make_tiff(60000, 60000, "x", {}), "pixels are more than");
}

TEST(ImageLimitsTest, MemoryOfOnePictureIsBounded) {
  // The most pixels that are allowed, but the decoder holds all of them, at eight bytes each.
  expect_reason(make_png(11500, 11500, std::string(11500, 'x'),
                         {.depth = 16, .colour_type = 6, .interlaced = true}),
                "MB that decoding may take");
  EXPECT_THROW(MemoryLease({1, 1}, kDecodeMemory + 1), Error);
}

TEST(ImageLimitsTest, MemoryOfAllPicturesIsBounded) {
  std::atomic<int64_t> held = 0, most = 0, done = 0;
  const int64_t part = kDecodeMemory / 5 * 2;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 20; ++k) {
        const MemoryLease lease({1, 1}, part);
        const int64_t now = held += part;
        for (int64_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        held -= part;
        ++done;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(done, 160);
  EXPECT_LE(most, kDecodeMemory);
}

TEST(ImageLimitsTest, WhatUnpacksToTooMuchBesideThePixelsIsPassedOver) {
  const std::string bomb = test::deflated(std::string(size_t{40} << 20, '\0'));
  const std::string pixels = repeated("\x40\x20\x10", 64);
  const std::string chunks[] = {test::png_chunk("iCCP", "x\0\0"s + bomb),
                                test::png_chunk("zTXt", "Raw profile type exif\0\0"s + bomb),
                                test::png_chunk("zTXt", "Comment\0\0"s + bomb)};
  for (const std::string& chunk : chunks)
    EXPECT_EQ(test::centre(make_png(8, 8, pixels, {.before_pixels = chunk})),
              std::vector<int>({0x40, 0x20, 0x10}));
}

TEST(ImageLimitsTest, StripsThatClaimMoreRowsThanThePictureTakeNoMore) {
  std::string file = test::make_tiff(8, 8, repeated("x", 64), {});
  EXPECT_EQ(decode_error(file), "");
  // The field with the number of rows per strip.
  const size_t rows = file.find("\x16\x01\x04\0"s);
  ASSERT_NE(rows, file.npos);
  file.replace(rows + 8, 4, "\xff\xff\xff\x7f");
  EXPECT_EQ(test::centre(file), std::vector<int>({'x'}));
}

}  // namespace
}  // namespace ddpm
