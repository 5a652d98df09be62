// Makes picture files and colour profiles for the tests of decoding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm::test {

std::string repeated(std::string_view piece, int times);
// The reason why decode_image refuses the file. Empty if it does not.
std::string decode_error(const std::string& file, int64_t side = 8);
std::vector<int> pixel(const Tensor& image, int64_t y, int64_t x);
// The pixel at the centre of the file's picture.
std::vector<int> centre(const std::string& file, int64_t side = 8);
// Checks that every channel is within the tolerance.
void expect_near(const std::vector<int>& got, const std::vector<int>& wanted, int tolerance);

// PNG
// ----------------------------------------------------------------------------------------------

std::string png_chunk(std::string_view type, std::string_view data);
std::string deflated(std::string_view data);
std::string icc_chunk(std::string_view profile);
struct PngOptions {
  int depth = 8;
  // 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA.
  int colour_type = 2;
  bool interlaced = false;
  // Further chunks.
  std::string before_pixels, after_pixels;
};
// pixels: the samples as PNG stores them, row by row.
std::string make_png(int width, int height, std::string_view pixels, const PngOptions& options);

// TIFF
// ---------------------------------------------------------------------------------------------

enum TiffSamples { kUnsigned = 1, kSigned = 2, kReal = 3, kComplex = 6 };
struct TiffOptions {
  int samples = 1, bits = 8;
  // 0 white is 0, 1 black is 0, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 Lab.
  int photometric = 1;
  int format = kUnsigned;
  // 0 unspecified, 1 premultiplied alpha, 2 alpha. -1: the tag is missing.
  int extra_sample = -1;
  int orientation = 1;
  // 16-bit values: all reds, all greens, all blues.
  std::vector<int> palette;
  std::string profile;
};
// A TIFF with one uncompressed strip, little-endian.
std::string make_tiff(int width, int height, std::string_view pixels, const TiffOptions& options);
// An EXIF block that holds only the orientation.
std::string exif_block(int orientation);

// JPEG
// ---------------------------------------------------------------------------------------------

struct JpegOptions {
  int quality = 90;
  bool progressive = false;
  // A restart marker follows this many rows of blocks.
  int restart_rows = 0;
  std::string profile;
};
// image: [H, W, 1, 3 or 4], as grey, RGB or inks. Inks are stored inverted, with Adobe's marker.
std::string make_jpeg(const Tensor& image, const JpegOptions& options = {});
// The position of the first segment with this marker (0xda: start of scan, ...).
size_t jpeg_segment(std::string_view file, int marker);
size_t jpeg_segment_bytes(std::string_view file, size_t segment);

// Colour profiles
// ----------------------------------------------------------------------------------

std::string grey_profile(double gamma);
// Ink 1 is orange, ink 2 green, ink 3 blue, ink 4 black, on white paper.
std::string inks_profile();
// A profile in which red and blue are swapped, in the table of one intent only: "A2B0" perceptual,
// "A2B1" relative colorimetric, "A2B2" saturation.
std::string swapped_profile(std::string_view table);

}  // namespace ddpm::test
