// Decodes and encodes image files. Pictures are tensors of bytes as in pixels.h. Thread-safe:
// programs may decode many files in parallel. Each call runs on the calling thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/pixels.h"
#include "ddpm/data/resize.h"

namespace ddpm {

// Finds the format of a file from its first bytes (64 are enough): "PNG", "JPEG", "WebP", "GIF",
// "TIFF", "BMP", "HEIC" or "AVIF". Null if it is none of these.
const char* image_format(std::string_view first_bytes);

struct ImageInfo {
  // The name that image_format() returns.
  std::string format;
  // The stored size, before EXIF orientation.
  ImageSize size;
  int64_t frames = 1;
};

// Throws Error if the libraries for decoding are missing. Programs call this once before they
// decode many files, because otherwise every file would seem damaged.
void require_decoders();

// Reads only the header. Throws Error as decode_image does.
ImageInfo probe_image(std::string_view file);

// Decodes the contents of a file: -> [size.height, size.width, C] with C = channels_needed(). The
// picture is turned as EXIF says, converted to 8-bit sRGB by the embedded profile, and fitted as by
// fit_image(). For an animation, the first frame is used. Throws Error with the reason for any
// other format and for a damaged or truncated file.
Tensor decode_image(std::string_view file, const Fitting& fitting);

// [H, W, C] -> PNG file: grey, RGB or RGBA.
std::string encode_png(const Tensor& image);

// The PNG file with a text chunk of this keyword (iTXt; UTF-8, not compressed) after its header.
std::string with_png_text(std::string_view png, std::string_view keyword, std::string_view text);
// The text of the first such chunk; nothing if the PNG has none. Throws Error if the file is no
// PNG, or if the chunk is damaged or longer than `limit` bytes.
std::optional<std::string> png_text(std::string_view png, std::string_view keyword, size_t limit);

// Describes what is wrong with the chunks of a PNG, because libvips does not. Empty if nothing was
// found.
std::string png_damage(std::string_view file);

// The longest side that WebP allows, in pixels.
inline constexpr int64_t kMostWebpSide = 16383;

struct AnimationOptions {
  // One duration for every frame, or one for all frames.
  std::vector<int64_t> durations_ms = {50};
  // How often to play the animation. 0: for ever.
  int64_t loop = 0;
  bool lossless = true;
  // From 0 to 100. Used if not lossless.
  int64_t quality = 90;
};

// [N, H, W, C] -> animated WebP file. Equal frames in a row may become one frame with a longer
// duration.
std::string encode_webp(const Tensor& frames, const AnimationOptions& options = {});

// Draws an SVG document on white -> PNG file of the document's size times scale.
std::string render_svg(std::string_view svg, double scale = 1);

// Writes encode_png() to a file. The file is written completely or not at all.
void write_png(const std::string& path, const Tensor& image);

}  // namespace ddpm
