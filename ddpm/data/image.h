// Image files to bytes and back. The pictures are Tensors of bytes as in pixels.h. Thread-safe:
// callers decode many files in parallel, each call runs on its caller's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/pixels.h"
#include "ddpm/data/resize.h"

namespace ddpm {

// What the file is that begins with these bytes, of which 64 are enough: "PNG", "JPEG", "WebP",
// "GIF", "TIFF", "BMP", "HEIC" or "AVIF"; null where it is none of these.
const char* image_format(std::string_view first_bytes);

struct ImageInfo {
  std::string format;  // as image_format says
  ImageSize size;      // as stored, before EXIF orientation
  int64_t frames = 1;
};

// Throws Error where the libraries that decode are not there. To be called once before many files
// are decoded, so that what all of them lack is not taken for damage of each.
void require_decoders();

// Reads the header only. Throws Error as decode_image does.
ImageInfo probe_image(std::string_view file);

// The contents of a file of one of these formats -> [size.height, size.width, C], with C
// = channels_needed(). EXIF orientation is honoured, colours are converted to 8-bit sRGB with the
// embedded profile, an animation gives its first frame; then as fit_image. Throws Error with the
// reason for anything else and for damaged or truncated files.
Tensor decode_image(std::string_view file, ImageSize size);

// [H, W, C] -> PNG file: grey, RGB or RGBA.
std::string encode_png(const Tensor& image);

// The most pixels a side that the format has.
inline constexpr int64_t kMostWebpSide = 16383;

struct AnimationOptions {
  std::vector<int64_t> durations_ms = {50};  // one for every frame, or one for all
  int64_t loop = 0;                          // times to play, 0: for ever
  bool lossless = true;
  int64_t quality = 90;  // 0 ... 100, where it is not lossless
};

// [N, H, W, C] -> animated WebP file. Equal neighbouring frames may come out as one, shown longer.
std::string encode_webp(const Tensor& frames, const AnimationOptions& options = {});

// An SVG document on white -> PNG file of the document's size times scale.
std::string render_svg(std::string_view svg, double scale = 1);

// encode_png to a file that is never half there.
void write_png(const std::string& path, const Tensor& image);

}  // namespace ddpm
