// Tests orientation in every place where a file may hold it, and formats whose decoders turn
// pictures themselves.
#include <gtest/gtest.h>

#include <cstdio>

#include "ddpm/data/image.h"
#include "ddpm/data/image_test_support.h"

namespace ddpm {
namespace {

using namespace std::string_literals;
using test::exif_block;
using test::make_png;
using test::png_chunk;
using test::repeated;

// A picture with red to the left of blue.
std::string rows() { return repeated(repeated("\xff\0\0"s, 4) + repeated("\0\0\xff"s, 4), 8); }

// Checks where red is, for the orientations 1 ... 8.
void expect_turned(const std::string& file, int orientation) {
  const char* sides[] = {"left", "right", "right", "left", "top", "top", "bottom", "bottom"};
  const std::string side = sides[orientation - 1];
  const int64_t y = side == "top" ? 1 : side == "bottom" ? 6 : 4;
  const int64_t x = side == "left" ? 1 : side == "right" ? 6 : 4;
  const Tensor image = decode_image(file, {8, 8});
  EXPECT_EQ(test::pixel(image, y, x), std::vector<int>({255, 0, 0})) << orientation;
  EXPECT_EQ(test::pixel(image, 7 - y, 7 - x), std::vector<int>({0, 0, 255})) << orientation;
}

std::string hexadecimal(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    text += digits;
  }
  return text;
}

TEST(ImageMetadataTest, OrientationOfPng) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string exif = exif_block(orientation), chunk = png_chunk("eXIf", exif);
    expect_turned(make_png(8, 8, rows(), {.before_pixels = chunk}), orientation);
    expect_turned(make_png(8, 8, rows(), {.after_pixels = chunk}), orientation);
    expect_turned(make_png(8, 8, rows(), {.after_pixels = png_chunk("eXIf", "Exif\0\0"s + exif)}),
                  orientation);
    // The way of ImageMagick, and XMP.
    const std::string raw =
        "\nexif\n      " + std::to_string(exif.size()) + "\n" + hexadecimal(exif);
    expect_turned(make_png(8, 8, rows(),
                           {.before_pixels = png_chunk(
                                "zTXt", "Raw profile type exif\0\0"s + test::deflated(raw))}),
                  orientation);
    const std::string xmp = "<x tiff:Orientation=\"" + std::to_string(orientation) + "\"/>";
    expect_turned(
        make_png(8, 8, rows(),
                 {.after_pixels = png_chunk("iTXt", "XML:com.adobe.xmp\0\0\0\0\0"s + xmp)}),
        orientation);
  }
}

TEST(ImageMetadataTest, DamagedOrientationIsNone) {
  const std::string exif = exif_block(6);
  for (size_t kept = 0; kept < 20; ++kept)
    expect_turned(make_png(8, 8, rows(), {.after_pixels = png_chunk("eXIf", exif.substr(0, kept))}),
                  1);
  std::string damaged = png_chunk("eXIf", exif);
  // The checksum.
  damaged.back() ^= 1;
  expect_turned(make_png(8, 8, rows(), {.after_pixels = damaged}), 1);
  for (const int orientation : {0, 9, 300})
    expect_turned(
        make_png(8, 8, rows(), {.after_pixels = png_chunk("eXIf", exif_block(orientation))}), 1);
}

TEST(ImageMetadataTest, OrientationOfTiff) {
  for (int orientation = 1; orientation <= 8; ++orientation)
    expect_turned(
        test::make_tiff(8, 8, rows(), {.samples = 3, .photometric = 2, .orientation = orientation}),
        orientation);
}

std::string unhex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

// Red to the left of blue, written by libheif's heif-enc.
constexpr const char* kHeic =
    "0000001c6674797068656963000000006d696631686569636d696166000001ae6d65746100000000000000216864"
    "6c72000000000000000070696374000000000000000000000000000000000e7069746d0000000000020000001069"
    "646174000000000020002000000038696c6f630100000044400002000100000000000001d2000100000000000000"
    "a400020001000000000000000100000000000000080000003869696e6600000000000200000015696e6665020000"
    "0100010000687663310000000015696e666502000000000200006772696400000000d969707270000000b7697063"
    "6f00000077687663430104080000000000000000001ef000fcfff8f800000f03200001001740010c01ffff040800"
    "0003009e3800000300001eba0240210001002a4201010408000003009e3800000300001e90041020b2dd5c94d737"
    "02020604000003000400000300042022000100084401c17318300890000000146973706500000000000000400000"
    "00400000001469737065000000000000002000000020000000107069786900000000030808080000001a69706d61"
    "0000000000000002000102810200020203840000001a69726566000000000000000e64696d670002000100010000"
    "00ac6d646174000000a02801af09e02139341ffff23bbffff2b0765fbc479bd7ff3b06ddfd486dfff90308c5c245"
    "5eff29d6e6ed3d23d47d8c64eeb78d2377bb8b444fd5a035784a8577cde815f9bf29199856c6bdad6ffce13071db"
    "f113f0ae63e68f8d80a358947788ff0268d4973d7bf0463f4b81df7cc73641fb141c71c072c6b344e7c297891ae6"
    "c21fd6c5dda587c2b21ac5b8420705d92a8733b645dcf9f18ce73ff6275a6380";
constexpr const char* kAvif =
    "0000001c667479706176696600000000617669666d6966316d696166000000ea6d65746100000000000000216864"
    "6c72000000000000000070696374000000000000000000000000000000000e7069746d0000000000010000002269"
    "6c6f630000000044400001000100000000010e000100000000000000230000002369696e66000000000001000000"
    "15696e6665020000000001000061763031000000006a697072700000004b6970636f00000013636f6c726e636c78"
    "000200020006800000000c6176314381000c00000000146973706500000000000000100000001000000010706978"
    "6900000000030808080000001769706d610000000000000001000104818203840000002b6d64617412000a09180c"
    "ffd8204040d0803214459001861861407fb8b89be4f8beaaa2afafe780";

TEST(ImageMetadataTest, HeicAndAvif) {
  for (const char* hex : {kHeic, kAvif}) {
    const std::string file = unhex(hex);
    const ImageInfo info = probe_image(file);
    EXPECT_EQ(info.format, hex == kHeic ? "HEIC" : "AVIF");
    const Tensor image = decode_image(file, info.size);
    ASSERT_EQ(image.size(2), 3);
    const int64_t middle = info.size.height / 2;
    test::expect_near(test::pixel(image, middle, 2), {255, 0, 0}, 12);
    test::expect_near(test::pixel(image, middle, info.size.width - 3), {0, 0, 255}, 12);
    EXPECT_NE(test::decode_error(file.substr(0, file.size() / 2)), "");
  }
}

}  // namespace
}  // namespace ddpm
