// Pictures as bytes: tensors of DType::kUInt8, [H, W, C] for one picture and [N, H, W, C] for
// several. C is 1 (luminance), 3 (sRGB) or 4 (sRGB and straight, not premultiplied, alpha). Needs
// no image library.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

// Parses "32" or "48x64" (height x width). Throws UsageError for anything else, and for sides
// outside 1 ... 16384.
ImageSize parse_image_size(std::string_view text);

using Colour = std::array<uint8_t, 3>;

// Parses "#rrggbb", "#rgb", "white", "black", "grey" or "gray". Throws UsageError for anything
// else.
Colour parse_colour(std::string_view text);

// The fewest channels that hold this picture [H, W, C] without loss: 4 if a pixel is transparent, 1
// if all pixels are opaque and grey, otherwise 3.
int64_t channels_needed(const Tensor& image);

// Converts a picture [H, W, C] to 1, 3 or 4 channels. Transparent pixels are composited on the
// background unless the result has alpha. Luminance uses Rec. 709 weights.
Tensor convert_channels(const Tensor& image, int64_t channels, Colour background);

// float32 in [-1, 1], any shape -> bytes of that shape, rounded to nearest and clamped. NaN gives
// 0.
Tensor to_bytes(const Tensor& x);
// bytes -> float32, x / 127.5 - 1. to_bytes() gives the same bytes back.
Tensor to_floats(const Tensor& bytes);

struct GridOptions {
  // 0: as many as make the grid nearly square.
  int64_t columns = 0;
  // Every pixel becomes scale x scale pixels.
  int64_t scale = 1;
  // The pixels between and around the pictures. They are not scaled.
  int64_t gap = 2;
  // The value of gaps and empty cells. They are transparent if C = 4.
  uint8_t background = 255;
};

// The size of the grid that make_grid() makes of `count` pictures. count must be at least 1. Throws
// UsageError if an option is out of range or the size overflows.
ImageSize grid_size(int64_t count, ImageSize picture, const GridOptions& options = {});

// A grid of pictures that come one after the other: [rows * (H * scale + gap) + gap, columns * (W *
// scale + gap) + gap, C], filled row by row. Cells are empty until their picture is there.
class Grid {
 public:
  // For `count` pictures [H, W, C]. Throws as grid_size() does.
  Grid(int64_t count, const Shape& picture, const GridOptions& options = {});
  // Draws picture k, bytes [H, W, C].
  void put(int64_t k, const Tensor& picture);
  // [H, W, C]
  const Tensor& picture() const { return grid_; }

 private:
  Shape cell_;
  GridOptions options_;
  int64_t columns_;
  Tensor grid_;
};

// [N, H, W, C] bytes -> such a grid. Throws Error for N = 0.
Tensor make_grid(const Tensor& images, const GridOptions& options = {});

// Writes a picture [H, W, C] of bytes as a PPM file, which many programs can show. Transparent
// pixels become white. Throws SystemError if the file cannot be written.
void write_ppm(const std::string& path, const Tensor& image);

// The GridOptions::scale that enlarges small pictures to about 64 pixels a side.
int64_t comfortable_scale(ImageSize size);

}  // namespace ddpm
