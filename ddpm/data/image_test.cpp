#include "ddpm/data/image.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/image_test_support.h"

namespace ddpm {
namespace {

using namespace std::string_literals;
using test::decode_error;

// Small files that other programs wrote: 8 x 8, and red to the left of blue unless noted otherwise.
constexpr const char* kJpeg =
    "ffd8ffe000104a46494600010100000100010000ffdb0043000302020302020303030304030304050805050404050a"
    "070706080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffdb004301"
    "03040405040509050509140d0b0d141414141414141414141414141414141414141414141414141414141414141414"
    "14141414141414141414141414141414141414ffc00011080008000803011100021101031101ffc400140001000000"
    "00000000000000000000000008ffc40018100002030000000000000000000000000000074583c2ffc4001501010100"
    "000000000000000000000000000708ffc40018110002030000000000000000000000000000084583c3ffda000c0301"
    "0002110311003f001b3562edc0e0b24c51b146b0f157647fffd9";
constexpr const char* kCmykJpeg =
    "ffd8ffee000e41646f626500640000000002ffdb0043000302020302020303030304030304050805050404050a0707"
    "06080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffdb0043010304"
    "0405040509050509140d0b0d1414141414141414141414141414141414141414141414141414141414141414141414"
    "14141414141414141414141414141414ffc00014080008000804011100021101031101041100ffc400150001010000"
    "0000000000000000000000000809ffc40018100002030000000000000000000000000000074583c2ffc40015010101"
    "00000000000000000000000000000708ffc40018110002030000000000000000000000000000084583c3ffda000e04"
    "0100021103110400003f0063aa656ad81cce43df89382ef2b4ea5533ffd9";
constexpr const char* kPalettePng =
    "89504e470d0a1a0a0000000d4948445200000008000000080803000000f3d14eb900000006504c5445ff00000000ff"
    "6ca1fd8e000000114944415408d763600002462060a08c010004880021e2155ac20000000049454e44ae426082";
// Grey values 64 and 192 in 16 bits.
constexpr const char* k16BitPng =
    "89504e470d0a1a0a0000000d49484452000000080000000810020000001bfdf59f000000214944415418d363747070"
    "70707060c0000d0d0d0d0d0d98e24c0c2482510dc400009a620490229b03ea0000000049454e44ae426082";
// Black and white.
constexpr const char* k1BitPng =
    "89504e470d0a1a0a0000000d4948445200000008000000080100000000ec7483260000000c4944415408d763e06740"
    "810003d00079971e1bb10000000049454e44ae426082";
// Grey 64 with alpha 128, and opaque grey 192.
constexpr const char* kGreyAlphaPng =
    "89504e470d0a1a0a0000000d49484452000000080000000808040000006e0676000000001a4944415408d763746860"
    "606060606068a887d04c0c68803e0200e78a01cfed9c51660000000049454e44ae426082";
// 8 x 4. The second frame is all green.
constexpr const char* kGif =
    "47494638396108000400f00000ff00000000ff21f904000000000021ff0b4e45545343415045322e3003010000002c"
    "000000000800040000020884111987caba0e2c0021f90400000000002c00000000080004008000ff00000000020584"
    "8fa98b05003b";

std::string unhex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

std::string little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// Rows are stored from the bottom up, each padded to 4 bytes. The caller adds the padding.
std::string bmp(int width, int height, int bits, const std::string& palette,
                const std::string& rows) {
  const size_t offset = 54 + palette.size();
  return "BM" + little(offset + rows.size(), 4) + little(0, 4) + little(offset, 4) + little(40, 4) +
         little(static_cast<uint32_t>(width), 4) + little(static_cast<uint32_t>(height), 4) +
         little(1, 2) + little(static_cast<uint64_t>(bits), 2) + little(0, 4) +
         little(rows.size(), 4) + little(2835, 4) + little(2835, 4) +
         little(palette.size() / 4, 4) + little(0, 4) + palette + rows;
}

// A TIFF with one uncompressed strip.
std::string tiff(int width, int height, int samples, int bits, int photometric,
                 const std::string& pixels) {
  std::string bits_list, entries;
  int count = 0;
  for (int i = 0; i < samples; ++i) bits_list += little(static_cast<uint64_t>(bits), 2);
  const size_t bits_at = 8, pixels_at = bits_at + 2 * static_cast<size_t>(samples);
  const size_t directory_at = pixels_at + pixels.size() + pixels.size() % 2;
  const auto entry = [&](int tag, int type, uint64_t number, uint64_t value) {
    entries += little(static_cast<uint64_t>(tag), 2) + little(static_cast<uint64_t>(type), 2) +
               little(number, 4) + little(value, 4);
    ++count;
  };
  entry(256, 3, 1, static_cast<uint64_t>(width));
  entry(257, 3, 1, static_cast<uint64_t>(height));
  // One or two 16-bit numbers are stored in the entry itself.
  if (samples <= 2)
    entry(258, 3, static_cast<uint64_t>(samples), static_cast<uint64_t>(bits) * 0x10001);
  else
    entry(258, 3, static_cast<uint64_t>(samples), bits_at);
  entry(259, 3, 1, 1);
  entry(262, 3, 1, static_cast<uint64_t>(photometric));
  entry(273, 4, 1, pixels_at);
  entry(277, 3, 1, static_cast<uint64_t>(samples));
  entry(278, 3, 1, static_cast<uint64_t>(height));
  entry(279, 4, 1, pixels.size());
  return "II*\0"s + little(directory_at, 4) + bits_list + pixels +
         std::string(pixels.size() % 2, '\0') + little(static_cast<uint64_t>(count), 2) + entries +
         little(0, 4);
}

std::string repeated(const std::string& piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += piece;
  return text;
}

// The JPEG with an EXIF block that holds an orientation.
std::string turned_jpeg(int orientation) {
  const std::string exif = "Exif\0\0II*\0"s + little(8, 4) + little(1, 2) + little(0x112, 2) +
                           little(3, 2) + little(1, 4) +
                           little(static_cast<uint64_t>(orientation), 4) + little(0, 4);
  const size_t length = exif.size() + 2;
  return unhex(kJpeg).insert(
      2, "\xff\xe1"s + static_cast<char>(length >> 8) + static_cast<char>(length & 255) + exif);
}

std::vector<int> pixel(const Tensor& image, int64_t y, int64_t x) {
  const int64_t channels = image.size(2);
  const uint8_t* begin = image.u8() + (y * image.size(1) + x) * channels;
  return {begin, begin + channels};
}

void expect_near(const std::vector<int>& got, const std::vector<int>& wanted, int tolerance) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], wanted[i], tolerance) << "channel " << i;
}

void expect_red_blue(const std::string& file, int tolerance) {
  const Tensor image = decode_image(file, {8, 8});
  ASSERT_EQ(image.shape(), (Shape{8, 8, 3}));
  expect_near(pixel(image, 4, 1), {255, 0, 0}, tolerance);
  expect_near(pixel(image, 4, 6), {0, 0, 255}, tolerance);
}

Tensor gradient(int64_t height, int64_t width, int64_t channels) {
  Tensor image({height, width, channels}, DType::kUInt8);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c)
        image.u8()[(y * width + x) * channels + c] =
            static_cast<uint8_t>(30 + 4 * y + 3 * x + 40 * c);
  return image;
}

TEST(ImageTest, PngKeepsEveryByte) {
  for (const int64_t channels : {1, 3, 4}) {
    const Tensor image = gradient(9, 7, channels);
    const Tensor back = decode_image(encode_png(image), {9, 7});
    ASSERT_EQ(back.shape(), image.shape());
    EXPECT_EQ(std::memcmp(back.u8(), image.u8(), static_cast<size_t>(image.bytes())), 0);
  }
}

TEST(ImageTest, PalettesAndDepthsOfPng) {
  expect_red_blue(unhex(kPalettePng), 0);
  const Tensor deep = decode_image(unhex(k16BitPng), {8, 8});
  ASSERT_EQ(deep.size(2), 1);
  expect_near(pixel(deep, 3, 0), {64}, 0);
  expect_near(pixel(deep, 3, 7), {192}, 0);
  const Tensor bit = decode_image(unhex(k1BitPng), {8, 8});
  ASSERT_EQ(bit.size(2), 1);
  expect_near(pixel(bit, 3, 0), {0}, 0);
  expect_near(pixel(bit, 3, 7), {255}, 0);
}

TEST(ImageTest, GreyWithAlphaBecomesRgba) {
  const Tensor image = decode_image(unhex(kGreyAlphaPng), {8, 8});
  ASSERT_EQ(image.size(2), 4);
  expect_near(pixel(image, 3, 0), {64, 64, 64, 128}, 0);
  expect_near(pixel(image, 3, 7), {192, 192, 192, 255}, 0);
}

TEST(ImageTest, Jpeg) { expect_red_blue(unhex(kJpeg), 4); }

TEST(ImageTest, CmykBecomesRgb) {
  const Tensor image = decode_image(unhex(kCmykJpeg), {8, 8});
  ASSERT_EQ(image.size(2), 3);
  // Inks are not lights, so red is only redder than the rest.
  EXPECT_GT(pixel(image, 4, 1)[0], pixel(image, 4, 1)[2] + 120);
  EXPECT_GT(pixel(image, 4, 6)[2], pixel(image, 4, 6)[0] + 60);
}

TEST(ImageTest, ExifOrientationIsHonoured) {
  // The side on which red must be: left as stored, right when mirrored or turned by 180 degrees,
  // ...
  const char* sides[] = {"left", "right", "right", "left", "top", "top", "bottom", "bottom"};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Tensor image = decode_image(turned_jpeg(orientation), {8, 8});
    const std::string side = sides[orientation - 1];
    const int64_t y = side == "top" ? 1 : side == "bottom" ? 6 : 4;
    const int64_t x = side == "left" ? 1 : side == "right" ? 6 : 4;
    EXPECT_GT(pixel(image, y, x)[0], 240) << orientation;
    EXPECT_LT(pixel(image, 7 - y, 7 - x)[0], 15) << orientation;
  }
}

TEST(ImageTest, AnAnimationGivesItsFirstFrame) {
  const Tensor image = decode_image(unhex(kGif), {4, 8});
  ASSERT_EQ(image.size(2), 3);
  expect_near(pixel(image, 2, 1), {255, 0, 0}, 0);
  expect_near(pixel(image, 2, 6), {0, 0, 255}, 0);
}

TEST(ImageTest, BmpOfSeveralDepths) {
  const std::string red_blue = "\0\0\xff\0\xff\0\0\0"s;
  expect_red_blue(
      bmp(8, 8, 24, "", repeated(repeated("\0\0\xff"s, 4) + repeated("\xff\0\0"s, 4), 8)), 0);
  expect_red_blue(bmp(8, 8, 8, red_blue, repeated("\0\0\0\0\1\1\1\1"s, 8)), 0);
  expect_red_blue(bmp(8, 8, 4, red_blue, repeated("\x00\x00\x11\x11"s, 8)), 0);
  expect_red_blue(bmp(8, 8, 1, red_blue, repeated("\x0f\0\0\0"s, 8)), 0);
  expect_red_blue(bmp(8, -8, 8, red_blue, repeated("\0\0\0\0\1\1\1\1"s, 8)), 0);
}

TEST(ImageTest, BmpRowsRunUpwards) {
  const std::string rows = repeated(repeated("\x20"s, 8), 4) + repeated(repeated("\xe0"s, 8), 4);
  std::string grey;
  for (int i = 0; i < 256; ++i) grey += std::string(3, static_cast<char>(i)) + '\0';
  const Tensor image = decode_image(bmp(8, 8, 8, grey, rows), {8, 8});
  ASSERT_EQ(image.size(2), 1);
  expect_near(pixel(image, 0, 0), {0xe0}, 0);
  expect_near(pixel(image, 7, 0), {0x20}, 0);
}

TEST(ImageTest, TiffOfSeveralDepths) {
  expect_red_blue(
      tiff(8, 8, 3, 8, 2, repeated(repeated("\xff\0\0"s, 4) + repeated("\0\0\xff"s, 4), 8)), 0);
  expect_red_blue(
      tiff(8, 8, 3, 16, 2,
           repeated(repeated("\xff\xff\0\0\0\0"s, 4) + repeated("\0\0\0\0\xff\xff"s, 4), 8)),
      0);
  const Tensor bit = decode_image(tiff(8, 8, 1, 1, 1, repeated("\x0f"s, 8)), {8, 8});
  ASSERT_EQ(bit.size(2), 1);
  expect_near(pixel(bit, 3, 0), {0}, 0);
  expect_near(pixel(bit, 3, 7), {255}, 0);
}

TEST(ImageTest, WebpKeepsEveryByteWhenLossless) {
  const Tensor image = gradient(8, 8, 4);
  const Tensor back = decode_image(encode_webp(image.reshape({1, 8, 8, 4})), {8, 8});
  EXPECT_EQ(std::memcmp(back.u8(), image.u8(), static_cast<size_t>(image.bytes())), 0);
}

TEST(ImageTest, FilesAreFittedAsPicturesInMemory) {
  Tensor image({600, 900, 3}, DType::kUInt8);
  for (int64_t y = 0; y < 600; ++y)
    for (int64_t x = 0; x < 900; ++x)
      for (int64_t c = 0; c < 3; ++c)
        image.u8()[(y * 900 + x) * 3 + c] =
            static_cast<uint8_t>(127 + 100 * std::sin(0.02 * static_cast<double>(x)) *
                                           std::cos(0.01 * static_cast<double>(y * (c + 1))));
  const Tensor small = fit_image(image, {32, 32});
  const Tensor read = decode_image(encode_png(image), {32, 32});
  EXPECT_EQ(std::memcmp(small.u8(), read.u8(), static_cast<size_t>(small.bytes())), 0);
}

TEST(ImageTest, DamageIsAnError) {
  const std::string png = encode_png(gradient(64, 64, 3));
  const std::string files[] = {unhex(kJpeg),
                               png,
                               unhex(kGif),
                               encode_webp(gradient(64, 64, 3).reshape({1, 64, 64, 3})),
                               tiff(8, 8, 3, 8, 2, repeated("abc", 64)),
                               bmp(8, 8, 24, "", repeated("abc", 64))};
  for (const std::string& file : files) {
    ASSERT_EQ(decode_error(file), "");
    for (const double part : {0.05, 0.3, 0.5}) {
      const size_t kept = static_cast<size_t>(part * static_cast<double>(file.size()));
      EXPECT_NE(decode_error(file.substr(0, kept)), "") << file.substr(0, 3) << " cut to " << kept;
    }
  }
  std::string flipped = png;
  for (size_t i = png.size() / 2; i < png.size() / 2 + 8; ++i) flipped[i] ^= 0x55;
  EXPECT_NE(decode_error(flipped), "");
}

TEST(ImageTest, FormatIsToldByTheFirstBytes) {
  const auto format = [](std::string_view bytes) {
    const char* name = image_format(bytes);
    return std::string(name == nullptr ? "" : name);
  };
  EXPECT_EQ(format(unhex(kPalettePng).substr(0, 64)), "PNG");
  EXPECT_EQ(format(unhex(kJpeg).substr(0, 64)), "JPEG");
  EXPECT_EQ(format(unhex(kGif).substr(0, 64)), "GIF");
  EXPECT_EQ(format(tiff(8, 8, 1, 8, 1, std::string(64, 'a')).substr(0, 64)), "TIFF");
  EXPECT_EQ(format(bmp(8, 8, 24, "", repeated("abc", 64)).substr(0, 64)), "BMP");
  EXPECT_EQ(format("RIFF\x20\0\0\0WEBPVP8L"s), "WebP");
  EXPECT_EQ(format("\0\0\0\x18"s + "ftypheic\0\0\0\0mif1heic"s), "HEIC");
  EXPECT_EQ(format("\0\0\0\x18"s + "ftypmif1\0\0\0\0mif1heix"s), "HEIC");
  EXPECT_EQ(format("\0\0\0\x1c"s + "ftypmif1\0\0\0\0mif1avifmiaf"s), "AVIF");
  // A video in the same kind of boxes, and texts that begin like pictures.
  EXPECT_EQ(format("\0\0\0\x18"s + "ftypisom\0\0\0\0isomavc1"s), "");
  EXPECT_EQ(format("BMW is a maker of cars and motor cycles"), "");
  EXPECT_EQ(format("GIF"), "");
  EXPECT_EQ(format(""), "");
}

TEST(ImageTest, WhatIsNoImageSaysSo) {
  EXPECT_EQ(decode_error(""), "[image] the file is empty");
  EXPECT_EQ(decode_error("hello, I am a text\n"),
            "[image] this is not a PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC or AVIF file");
  EXPECT_NE(decode_error("BMW is a maker of cars and motor cycles"), "");
  EXPECT_NE(decode_error("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>"),
            "");
  EXPECT_NE(decode_error("%PDF-1.4\n"), "");
  EXPECT_NE(decode_error("GIF89a"), "");
}

TEST(ImageTest, DamagedPngsSayWhatIsDamaged) {
  const std::string png = encode_png(gradient(64, 64, 3));
  std::string header = png;
  header[25] ^= 1;
  EXPECT_EQ(decode_error(header), "[image] the checksum of the PNG's IHDR chunk is wrong");
  EXPECT_EQ(decode_error(png.substr(0, 20)), "[image] the PNG ends within its IHDR chunk");
}

TEST(ImageTest, HugePicturesAreRefused) {
  const std::string reason = decode_error(tiff(60000, 60000, 1, 8, 1, "x"));
  EXPECT_NE(reason.find("60000 x 60000 pixels are more than"), std::string::npos) << reason;
}

TEST(ImageTest, ParallelFailuresKeepTheirOwnReason) {
  const std::string png = encode_png(gradient(64, 64, 3)).substr(0, 900),
                    jpeg = unhex(kJpeg).substr(0, 290);
  std::vector<std::string> reasons(64);
  parallel_for(64, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) reasons[i] = decode_error(i % 2 == 0 ? png : jpeg);
  });
  for (size_t i = 2; i < reasons.size(); ++i) EXPECT_EQ(reasons[i], reasons[i % 2]);
  EXPECT_NE(reasons[0], reasons[1]);
}

TEST(ImageTest, AnAnimationHasItsFrames) {
  Tensor frames({5, 16, 12, 3}, DType::kUInt8);
  for (int64_t i = 0; i < frames.elements(); ++i)
    frames.u8()[i] = static_cast<uint8_t>(i * 31 + i / (16 * 12 * 3) * 50);
  const std::string file = encode_webp(frames, {.durations_ms = {10, 20, 30, 40, 500}});
  const ImageInfo info = probe_image(file);
  EXPECT_EQ(info.format, "WebP");
  EXPECT_EQ(info.frames, 5);
  EXPECT_EQ(info.size, (ImageSize{16, 12}));
  EXPECT_EQ(probe_image(encode_webp(frames, {.lossless = false})).frames, 5);
  EXPECT_THROW(encode_webp(frames, {.durations_ms = {10, 20}}), Error);
}

TEST(ImageTest, SvgIsDrawn) {
  const char* svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"6\">"
      "<rect width=\"4\" height=\"6\" fill=\"#ff0000\"/></svg>";
  const Tensor image = decode_image(render_svg(svg, 2), {12, 16});
  expect_near(pixel(image, 5, 2), {255, 0, 0}, 0);
  expect_near(pixel(image, 5, 12), {255, 255, 255}, 0);
  EXPECT_THROW(render_svg("no svg"), Error);
}

}  // namespace
}  // namespace ddpm
