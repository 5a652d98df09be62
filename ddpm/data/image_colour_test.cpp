// Colour profiles. The expected values come from Little CMS: relative colorimetric with black point
// compensation, into its own sRGB.
#include <gtest/gtest.h>

#include "ddpm/data/image.h"
#include "ddpm/data/image_test_support.h"

namespace ddpm {
namespace {

using namespace std::string_literals;
using test::centre;
using test::expect_near;
using test::icc_chunk;
using test::make_jpeg;
using test::make_png;
using test::make_tiff;
using test::repeated;

constexpr int kSide = 8;

std::string png(int colour_type, int depth, std::string_view one_pixel,
                const std::string& profile) {
  return make_png(
      kSide, kSide, repeated(one_pixel, kSide * kSide),
      {.depth = depth, .colour_type = colour_type, .before_pixels = icc_chunk(profile)});
}

std::string tiff(test::TiffOptions options, std::string_view one_pixel,
                 const std::string& profile) {
  options.profile = profile;
  return make_tiff(kSide, kSide, repeated(one_pixel, kSide * kSide), options);
}

Tensor plain(const std::vector<int>& colour) {
  const auto channels = static_cast<int64_t>(colour.size());
  Tensor image({kSide, kSide, channels}, DType::kUInt8);
  for (int64_t i = 0; i < image.elements(); ++i)
    image.u8()[i] = static_cast<uint8_t>(colour[static_cast<size_t>(i % channels)]);
  return image;
}

TEST(ImageColourTest, GreyIsTakenToSrgb) {
  const std::string profile = test::grey_profile(1);
  EXPECT_EQ(centre(png(0, 8, "\x80", profile)), std::vector<int>({188}));
  EXPECT_EQ(centre(png(0, 16, "\x80\x80", profile)), std::vector<int>({188}));
  EXPECT_EQ(centre(tiff({}, "\x40", profile)), std::vector<int>({137}));
  expect_near(centre(make_jpeg(plain({192}), {.profile = profile})), {225}, 1);
}

TEST(ImageColourTest, GreyWithAlphaKeepsItsAlpha) {
  const std::string profile = test::grey_profile(1);
  const std::vector<int> half = {188, 188, 188, 0x60}, black = {0, 0, 0, 255};
  EXPECT_EQ(centre(png(4, 8, "\x80\x60", profile)), half);
  EXPECT_EQ(centre(png(4, 16, "\x80\x80\x60\x60", profile)), half);
  EXPECT_EQ(centre(tiff({.samples = 2, .extra_sample = 2}, "\x80\x60", profile)), half);
  EXPECT_EQ(
      centre(tiff({.samples = 2, .bits = 16, .extra_sample = 2}, "\x80\x80\x60\x60", profile)),
      half);
  // Opaque black in a picture that is transparent elsewhere, as macOS writes it.
  const std::string rows =
      repeated(repeated("\0\0"s, 2) + repeated("\0\xff"s, 4) + repeated("\0\0"s, 2), 8);
  EXPECT_EQ(
      centre(make_png(8, 8, rows,
                      {.colour_type = 4, .before_pixels = icc_chunk(test::grey_profile(2.2))})),
      black);
}

TEST(ImageColourTest, ProfilesForOtherColoursAreIgnored) {
  const std::vector<int> colour = {200, 100, 50}, glass = {200, 100, 50, 128};
  const std::string rgb = "\xc8\x64\x32", rgba = "\xc8\x64\x32\x80";
  const test::TiffOptions tiff_rgb = {.samples = 3, .photometric = 2};
  const test::TiffOptions tiff_rgba = {.samples = 4, .photometric = 2, .extra_sample = 2};
  for (const std::string& profile : {test::grey_profile(1), test::inks_profile()}) {
    EXPECT_EQ(centre(png(2, 8, rgb, profile)), colour);
    EXPECT_EQ(centre(png(6, 8, rgba, profile)), glass);
    EXPECT_EQ(centre(tiff(tiff_rgb, rgb, profile)), colour);
    EXPECT_EQ(centre(tiff(tiff_rgba, rgba, profile)), glass);
    expect_near(centre(make_jpeg(plain(colour), {.quality = 100, .profile = profile})), colour, 2);
  }
  for (const std::string& profile : {test::swapped_profile("A2B0"), test::inks_profile()}) {
    EXPECT_EQ(centre(png(0, 8, "\x80", profile)), std::vector<int>({128}));
    EXPECT_EQ(centre(png(4, 8, "\x80\x60", profile)), std::vector<int>({128, 128, 128, 0x60}));
  }
  const test::TiffOptions inks = {.samples = 4, .photometric = 5};
  for (const std::string& profile : {test::grey_profile(1), test::swapped_profile("A2B0")})
    EXPECT_EQ(centre(tiff(inks, "\xff\0\0\0"s, profile)), centre(tiff(inks, "\xff\0\0\0"s, "")));
  EXPECT_EQ(centre(png(2, 8, rgb, "this is no profile")), colour);
}

TEST(ImageColourTest, TheIntentThatAProfileHasIsUsed) {
  for (const char* table : {"A2B0", "A2B1", "A2B2"}) {
    const std::string profile = test::swapped_profile(table);
    EXPECT_EQ(centre(png(2, 8, "\xff\0\0"s, profile)), std::vector<int>({0, 1, 254})) << table;
    EXPECT_EQ(centre(png(2, 16, "\xff\xff\0\0\0\0"s, profile)), std::vector<int>({0, 1, 254}))
        << table;
    EXPECT_EQ(centre(tiff({.samples = 3, .photometric = 2}, "\xc8\x64\x32", profile)),
              std::vector<int>({106, 109, 196}))
        << table;
  }
}

TEST(ImageColourTest, InksAreThoseOfTheirProfile) {
  const std::string profile = test::inks_profile();
  const test::TiffOptions inks = {.samples = 4, .photometric = 5};
  EXPECT_EQ(centre(tiff(inks, "\xff\0\0\0"s, profile)), std::vector<int>({254, 129, 0}));
  EXPECT_EQ(centre(tiff(inks, "\0\xff\0\0"s, profile)), std::vector<int>({0, 160, 1}));
  EXPECT_EQ(centre(tiff(inks, "\x80\0\0\0"s, profile)), std::vector<int>({255, 192, 139}));
  EXPECT_EQ(
      centre(tiff({.samples = 4, .bits = 16, .photometric = 5}, "\xff\xff\0\0\0\0\0\0"s, profile)),
      std::vector<int>({254, 129, 0}));
  expect_near(centre(make_jpeg(plain({255, 0, 0, 0}), {.quality = 100, .profile = profile})),
              {254, 129, 0}, 2);
  // With an alpha band.
  const test::TiffOptions glass = {.samples = 5, .photometric = 5, .extra_sample = 2};
  EXPECT_EQ(centre(tiff(glass, "\xff\0\0\0\x60"s, profile)), std::vector<int>({254, 129, 0, 0x60}));
  EXPECT_EQ(centre(tiff(glass, "\0\0\0\0\x60"s, "")), std::vector<int>({255, 255, 255, 0x60}));
}

TEST(ImageColourTest, APaletteOfGreysIsRgb) {
  std::vector<int> greys;
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < 256; ++i) greys.push_back(i * 257);
  const test::TiffOptions options = {.photometric = 3, .palette = greys};
  EXPECT_EQ(centre(tiff(options, "\x80", "")), std::vector<int>({128}));
  EXPECT_EQ(centre(tiff(options, "\x80", test::swapped_profile("A2B0"))), std::vector<int>({119}));
  EXPECT_EQ(centre(tiff(options, "\x80", test::grey_profile(1))), std::vector<int>({128}));
}

}  // namespace
}  // namespace ddpm
