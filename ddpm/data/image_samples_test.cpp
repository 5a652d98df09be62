// Tests the meaning of the samples of TIFFs, and BMPs that are easily read wrongly.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "ddpm/data/image.h"
#include "ddpm/data/image_test_support.h"

namespace ddpm {
namespace {

using namespace std::string_literals;
using test::centre;
using test::decode_error;
using test::expect_near;
using test::make_tiff;
using test::repeated;
using test::TiffOptions;

constexpr int kSide = 16;

// Rows that go from black on the left to `white` on the right.
template <class T>
std::string ramp(double white, int samples = 1) {
  std::string row;
  for (int x = 0; x < kSide; ++x) {
    const T value = static_cast<T>(white * x / (kSide - 1));
    for (int s = 0; s < samples; ++s)
      row.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return repeated(row, kSide);
}

void expect_ramp(const std::string& file) {
  ASSERT_EQ(decode_error(file, kSide), "");
  const Tensor image = decode_image(file, {kSide, kSide});
  ASSERT_EQ(image.size(2), 1);
  for (int x = 0; x < kSide; ++x) EXPECT_EQ(test::pixel(image, 5, x)[0], 17 * x) << x;
}

void expect_refused(const std::string& file, const std::string& because) {
  const std::string reason = decode_error(file, kSide);
  EXPECT_NE(reason.find(because), reason.npos) << reason;
}

std::string plain(const TiffOptions& options, std::string_view one_pixel) {
  return make_tiff(8, 8, repeated(one_pixel, 64), options);
}

TEST(ImageSamplesTest, UnsignedTiff) {
  expect_ramp(make_tiff(kSide, kSide, ramp<uint8_t>(255), {}));
  expect_ramp(make_tiff(kSide, kSide, ramp<uint16_t>(65535), {.bits = 16}));
  expect_ramp(make_tiff(kSide, kSide, ramp<uint16_t>(65535, 3),
                        {.samples = 3, .bits = 16, .photometric = 2}));
  expect_ramp(
      make_tiff(kSide, kSide, repeated("\x01\x23\x45\x67\x89\xab\xcd\xef"s, kSide), {.bits = 4}));
}

TEST(ImageSamplesTest, FloatingPointFromBlackToWhite) {
  const TiffOptions single = {.bits = 32, .format = test::kReal};
  expect_ramp(make_tiff(kSide, kSide, ramp<float>(1), single));
  expect_ramp(make_tiff(kSide, kSide, ramp<float>(1, 3),
                        {.samples = 3, .bits = 32, .photometric = 2, .format = test::kReal}));
  expect_refused(make_tiff(kSide, kSide, ramp<float>(255), single), "from 0 to 255");
  expect_refused(make_tiff(kSide, kSide, ramp<float>(-1), single), "from -1 to 1");
  expect_refused(
      make_tiff(kSide, kSide, ramp<float>(std::numeric_limits<double>::quiet_NaN()), single),
      "include NaN");
}

TEST(ImageSamplesTest, SamplesWithoutAWhiteAreRefused) {
  const auto refused = [](const std::string& pixels, int samples, int bits, int format) {
    expect_refused(make_tiff(kSide, kSide, pixels,
                             {.samples = samples,
                              .bits = bits,
                              .photometric = samples == 3 ? 2 : 1,
                              .format = format}),
                   "no standard says which value is white");
  };
  refused(ramp<int8_t>(127), 1, 8, test::kSigned);
  refused(ramp<int16_t>(32767), 1, 16, test::kSigned);
  refused(ramp<int16_t>(32767, 3), 3, 16, test::kSigned);
  refused(ramp<int32_t>(2147483647), 1, 32, test::kSigned);
  refused(ramp<int32_t>(65535), 1, 32, test::kSigned);
  refused(ramp<uint32_t>(4294967295), 1, 32, test::kUnsigned);
  refused(ramp<uint32_t>(4294967295, 3), 3, 32, test::kUnsigned);
  refused(ramp<uint32_t>(65535), 1, 32, test::kUnsigned);
}

TEST(ImageSamplesTest, OtherSamplesAreNeverTakenForPictures) {
  for (const int format : {test::kUnsigned, test::kSigned, test::kReal, test::kComplex}) {
    EXPECT_NE(decode_error(make_tiff(kSide, kSide, ramp<double>(1), {.bits = 64, .format = format}),
                           kSide),
              "");
    EXPECT_NE(decode_error(make_tiff(kSide, kSide, repeated(ramp<double>(1), 2),
                                     {.bits = 128, .format = format}),
                           kSide),
              "");
  }
  EXPECT_NE(decode_error(
                make_tiff(kSide, kSide, ramp<uint16_t>(15360), {.bits = 16, .format = test::kReal}),
                kSide),
            "");
  EXPECT_NE(decode_error(make_tiff(kSide, kSide, repeated("abc", 128), {.bits = 12}), kSide), "");
}

TEST(ImageSamplesTest, WhiteMayBeZero) {
  EXPECT_EQ(centre(plain({.photometric = 0}, "\x30")), std::vector<int>({255 - 0x30}));
  EXPECT_EQ(
      centre(make_tiff(8, 8, "\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f", {.bits = 1, .photometric = 0})),
      std::vector<int>({0}));
}

TEST(ImageSamplesTest, YCbCrIsConverted) {
  const TiffOptions options = {.samples = 3, .photometric = 6};
  EXPECT_EQ(centre(plain(options, "\x4c\x55\xff")), std::vector<int>({254, 0, 0}));
  EXPECT_EQ(centre(plain(options, "\x80\x80\x80")), std::vector<int>({128}));
}

TEST(ImageSamplesTest, CieLabIsConverted) {
  const TiffOptions bytes = {.samples = 3, .photometric = 8};
  const TiffOptions wide = {.samples = 3, .bits = 16, .photometric = 8};
  expect_near(centre(plain(bytes, "\0\0\0"s)), {0}, 1);
  expect_near(centre(plain(bytes, "\xff\0\0"s)), {255}, 1);
  expect_near(centre(plain(bytes, "\x8a\x51\x46")), {254, 0, 0}, 2);
  expect_near(centre(plain(wide, "\xff\xff\0\0\0\0"s)), {255}, 1);
  expect_near(centre(plain(wide, "\x8a\x8a\0\x51\0\x46"s)), {254, 0, 0}, 2);
  const TiffOptions glass = {.samples = 4, .photometric = 8, .extra_sample = 2};
  expect_near(centre(plain(glass, "\x8a\x51\x46\x60")), {254, 0, 0, 0x60}, 2);
}

TEST(ImageSamplesTest, ExtraSamplesAreAlphaWhereTheyAreSaidToBe) {
  TiffOptions options = {.samples = 4, .photometric = 2};
  const std::string pixel = "\x40\x20\x10\x80";
  options.extra_sample = 2;
  EXPECT_EQ(centre(plain(options, pixel)), std::vector<int>({0x40, 0x20, 0x10, 0x80}));
  options.extra_sample = 0;
  EXPECT_EQ(centre(plain(options, pixel)), std::vector<int>({0x40, 0x20, 0x10}));
  // The colours are multiplied by alpha already.
  options.extra_sample = 1;
  expect_near(centre(plain(options, pixel)), {0x7f, 0x40, 0x20, 0x80}, 1);
}

TEST(ImageSamplesTest, UnknownColoursAreRefused) {
  for (const int photometric : {4, 9, 10, 32803, 34892})
    EXPECT_NE(decode_error(plain({.samples = 3, .photometric = photometric}, "abc")), "")
        << photometric;
}

std::string little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string bmp(int header, int bits, const std::string& palette, const std::string& rows) {
  const size_t offset = 14 + static_cast<size_t>(header) + palette.size();
  std::string info = little(static_cast<uint64_t>(header), 4) + little(8, 4) + little(8, 4) +
                     little(1, 2) + little(static_cast<uint64_t>(bits), 2) + little(0, 4) +
                     little(rows.size(), 4) + little(2835, 4) + little(2835, 4) +
                     little(palette.size() / 4, 4) + little(0, 4);
  info.resize(static_cast<size_t>(header), '\0');
  return "BM" + little(offset + rows.size(), 4) + little(0, 4) + little(offset, 4) + info +
         palette + rows;
}

TEST(ImageSamplesTest, BmpOfOs2) {
  const std::string red_blue = "\0\0\xff\0\xff\0\0\0"s, rows = repeated("\0\0\0\0\1\1\1\1"s, 8);
  for (const int header : {40, 64}) {
    const Tensor image = decode_image(bmp(header, 8, red_blue, rows), {8, 8});
    EXPECT_EQ(test::pixel(image, 4, 1), std::vector<int>({255, 0, 0})) << header;
    EXPECT_EQ(test::pixel(image, 4, 6), std::vector<int>({0, 0, 255})) << header;
  }
}

TEST(ImageSamplesTest, BmpsFourthByteIsNoAlpha) {
  EXPECT_EQ(centre(bmp(40, 32, "", repeated("\x10\x20\x30\0"s, 64))),
            std::vector<int>({0x30, 0x20, 0x10}));
  EXPECT_EQ(centre(bmp(40, 32, "", repeated("\x10\x20\x30\x40", 64))),
            std::vector<int>({0x30, 0x20, 0x10}));
}

}  // namespace
}  // namespace ddpm
