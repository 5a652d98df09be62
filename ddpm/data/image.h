// Decodes and encodes image files. The pictures are tensors of bytes as in pixels.h. Thread-safe:
// callers may decode many files in parallel, and each call runs on its caller's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/pixels.h"
#include "ddpm/data/resize.h"

namespace ddpm {

// The format of a file by its first bytes (64 are enough): "PNG", "JPEG", "WebP", "GIF", "TIFF",
// "BMP", "HEIC" or "AVIF"; null where it is none of these.
const char* image_format(std::string_view first_bytes);

struct ImageInfo {
  // As image_format() gives it.
  std::string format;
  // As stored, before EXIF orientation.
  ImageSize size;
  int64_t frames = 1;
};

// Throws Error where the libraries that decode are missing. To be called once before many files are
// decoded: otherwise each file would seem damaged.
void require_decoders();

// Reads the header only. Throws Error as decode_image does.
ImageInfo probe_image(std::string_view file);

// The contents of a file of one of these formats -> [size.height, size.width, C], with C
// = channels_needed(). The picture is turned as EXIF says, its colours are converted to 8-bit sRGB
// by the embedded profile, and it is scaled and cut as by fit_image(). Of an animation, the first
// frame is taken. Throws Error with the reason for any other format and for a damaged or truncated
// file.
Tensor decode_image(std::string_view file, ImageSize size);

// [H, W, C] -> PNG file: grey, RGB or RGBA.
std::string encode_png(const Tensor& image);

// The longest side that WebP allows, in pixels.
inline constexpr int64_t kMostWebpSide = 16383;

struct AnimationOptions {
  // One for every frame, or one for all.
  std::vector<int64_t> durations_ms = {50};
  // How often to play it; 0: for ever.
  int64_t loop = 0;
  bool lossless = true;
  // From 0 to 100, where it is not lossless.
  int64_t quality = 90;
};

// [N, H, W, C] -> animated WebP file. Equal frames in a row may become one frame that is shown
// longer.
std::string encode_webp(const Tensor& frames, const AnimationOptions& options = {});

// An SVG document on white -> PNG file of the document's size times scale.
std::string render_svg(std::string_view svg, double scale = 1);

// encode_png() into a file, which is written whole or not at all.
void write_png(const std::string& path, const Tensor& image);

}  // namespace ddpm
