// A file goes through these steps. It is decoded as it is stored (a JPEG at a reduced size if that
// is large enough), turned as EXIF says, scaled and cut by resize.cpp, and converted to sRGB by its
// profile. The profile comes last because the picture is small then. Files without a profile keep
// their exact values. CMYK and Lab are converted to RGB before scaling, because an average of inks
// is not the average of their colours.
#include "ddpm/data/image.h"

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/data/image_parts.h"
#include "ddpm/data/resize.h"

namespace ddpm {
namespace {

std::string known_format(std::string_view file) {
  if (file.empty()) fail("image", "the file is empty");
  const char* format = image_format(file);
  if (format == nullptr)
    fail("image", "this is not a PNG, JPEG, WebP, GIF, TIFF, BMP, HEIC or AVIF file");
  return format;
}

// JPEGs can be decoded at 1/2, 1/4 or 1/8 of their size. The result is at least twice the wanted
// size, because the filter of resize.cpp is better and does the rest.
int64_t shrink_on_load(ImageSize size, ImageSize wanted) {
  if (wanted == ImageSize{}) return 1;
  // The shorter side is used, because EXIF may swap the sides.
  const int64_t stored = std::min(size.height, size.width);
  int64_t shrink = 8;
  while (shrink > 1 && stored < 2 * shrink * std::max(wanted.height, wanted.width)) shrink /= 2;
  return shrink;
}

StoredImage decode_stored(std::string_view file, ImageSize wanted) {
  const std::string format = known_format(file);
  if (format != "JPEG") return decode_vips(file, format);
  return decode_jpeg(file, shrink_on_load(read_jpeg_header(file), wanted));
}

void inks_to_rgb(StoredImage& image) {
  Tensor rgb;
  if (!image.profile.empty())
    rgb = apply_profile(image.pixels, image.kind, image.alpha, image.profile);
  image.pixels = rgb.defined() ? rgb : cmyk_to_rgb(image.pixels);
  image.profile.clear();
  image.kind = ColourKind::kRgb;
}

// [H, W, 2] -> [H, W, 4].
Tensor grey_alpha_to_rgba(const Tensor& image) {
  Tensor result({image.size(0), image.size(1), 4}, DType::kUInt8);
  const uint8_t* in = image.u8();
  uint8_t* out = result.u8();
  for (int64_t i = image.elements() / 2; i > 0; --i, in += 2) {
    out = std::fill_n(out, 3, in[0]);
    *out++ = in[1];
  }
  return result;
}

}  // namespace

ImageInfo probe_image(std::string_view file) {
  ImageInfo info;
  info.format = known_format(file);
  if (info.format == "JPEG") {
    info.size = read_jpeg_header(file);
  } else {
    const VipsHeader header = read_vips_header(file, info.format);
    info.size = header.size;
    info.frames = header.frames;
  }
  return info;
}

Tensor decode_image(std::string_view file, const Fitting& fitting) {
  StoredImage stored = decode_stored(file, fitting.size);
  const bool grey = stored.kind == ColourKind::kGrey;
  if (stored.kind == ColourKind::kCmyk) inks_to_rgb(stored);
  if (stored.kind == ColourKind::kLab) {
    stored.pixels = lab_to_rgb(stored.pixels, stored.alpha);
    stored.profile.clear();
    stored.kind = ColourKind::kRgb;
  }
  if (grey && stored.alpha) stored.pixels = grey_alpha_to_rgba(stored.pixels);
  Tensor image = upright(stored.pixels, stored.orientation);
  if (fitting.size != ImageSize{})
    image = fit_image(image, scaled_size({image.size(0), image.size(1)}, fitting));
  if (!stored.profile.empty()) {
    const Tensor rgb = apply_profile(image, stored.kind, stored.alpha, stored.profile);
    if (rgb.defined()) image = rgb;
  }
  // Rounding in the profile's conversion may give a grey picture a slight tint.
  const int64_t needed = channels_needed(image);
  image = convert_channels(image, grey && needed == 3 ? 1 : needed, Colour{255, 255, 255});
  // The background is in sRGB already.
  return fitting.fit == Fit::kCover ? image : pad_image(image, fitting.size, fitting.background);
}

}  // namespace ddpm
