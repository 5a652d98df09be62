// Reads all formats except JPEG through libvips, a few rows at a time. Samples may have several
// types and are converted to bytes. The meaning of a sample is never guessed: a file that does not
// define it is refused.
#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/data/image.h"
#include "ddpm/data/image_parts.h"
#include "ddpm/data/image_samples-inl.h"
#include "ddpm/data/image_vips-inl.h"

namespace ddpm {
namespace {

// The numbers of TIFF tags.
enum TiffTag {
  kCompression = 259,
  kPhotometric = 262,
  kTileWidth = 322,
  kTileHeight = 323,
  kExtraSamples = 338
};
enum TiffPhotometric { kWhiteIsZero = 0, kPalette = 3, kYCbCr = 6, kLab = 8 };
constexpr uint64_t kTiffJpeg = 7;

VipsImageRef open(std::string_view file) {
  return VipsImageRef(vips().vips_image_new_from_buffer(file.data(), file.size(), "", "access",
                                                        VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                                        VIPS_FAIL_ON_ERROR, nullptr));
}

std::string no_reason(std::string_view file, const std::string& format) {
  std::string damage = format == "PNG" ? png_damage(file) : "";
  if (!damage.empty()) return damage;
  return fmt::format("this {} file is damaged or of a kind that is not read", format);
}

// Called before libpng reads the file.
void require_png_size(std::string_view file, const PngParts& png) {
  if (png.size.width == 0) fail("image", no_reason(file, "PNG"));
  require_few_pixels(png.size);
}

// Throws Error for colours of a TIFF other than grey, RGB, palettes, CMYK, YCbCr, Lab and LogLuv.
void require_known_colours(VipsInterpretation interpretation, uint64_t photometric) {
  switch (interpretation) {
    case VIPS_INTERPRETATION_B_W:
    case VIPS_INTERPRETATION_GREY16:
    case VIPS_INTERPRETATION_sRGB:
    case VIPS_INTERPRETATION_RGB16:
    case VIPS_INTERPRETATION_scRGB:
    case VIPS_INTERPRETATION_CMYK:
    case VIPS_INTERPRETATION_LAB:
    case VIPS_INTERPRETATION_LABQ:
    case VIPS_INTERPRETATION_LABS:
    case VIPS_INTERPRETATION_XYZ:
      return;
    default:
      fail("image", fmt::format("its colours are of a kind that is not read (photometric "
                                "interpretation {}); grey, RGB, palettes, CMYK, YCbCr and CIE Lab "
                                "are",
                                photometric));
  }
}

void set_kind(RowLayout& layout, VipsInterpretation interpretation) {
  switch (interpretation) {
    case VIPS_INTERPRETATION_B_W:
    case VIPS_INTERPRETATION_GREY16:
      layout.kind = ColourKind::kGrey;
      break;
    case VIPS_INTERPRETATION_CMYK:
      layout.kind = ColourKind::kCmyk;
      break;
    case VIPS_INTERPRETATION_LAB:
    case VIPS_INTERPRETATION_LABQ:
    case VIPS_INTERPRETATION_LABS:
    case VIPS_INTERPRETATION_XYZ:
      layout.convert = true;
      break;
    default:
      break;
  }
}

void set_alpha(RowLayout& layout, const std::vector<uint64_t>& extra_samples) {
  const int64_t colours = colours_of(layout.kind);
  if (layout.bands <= colours) return;
  layout.alpha_band = colours;
  if (extra_samples.empty()) return;
  // 0 means data of an unknown kind, so it is not alpha.
  const auto alpha = std::find_if(extra_samples.begin(), extra_samples.end(),
                                  [](uint64_t kind) { return kind != 0; });
  const int64_t band = colours + (alpha - extra_samples.begin());
  layout.alpha_band = alpha != extra_samples.end() && band < layout.bands ? band : 0;
}

RowLayout layout_of(const VipsImageRef& image, const std::string& format, std::string_view file) {
  RowLayout layout;
  layout.size = {vips().vips_image_get_page_height(image.get()),
                 vips().vips_image_get_width(image.get())};
  layout.bands = vips().vips_image_get_bands(image.get());
  layout.format = vips().vips_image_get_format(image.get());
  const VipsInterpretation interpretation = vips().vips_image_get_interpretation(image.get());
  if (format != "TIFF") {
    set_kind(layout, interpretation);
    if (layout.kind == ColourKind::kRgb && layout.bands < 3) layout.kind = ColourKind::kGrey;
    set_alpha(layout, {});
    return layout;
  }
  const TiffDirectory directory(file);
  const uint64_t photometric = directory.number(kPhotometric, 0);
  require_known_colours(interpretation, photometric);
  set_kind(layout, interpretation);
  layout.packed_lab = vips().vips_image_get_coding(image.get()) == VIPS_CODING_LABQ;
  if (layout.packed_lab) layout.bands = 3;
  if (layout.packed_lab || (photometric == kLab && layout.format == VIPS_FORMAT_SHORT)) {
    layout.kind = ColourKind::kLab;
    layout.convert = false;
  }
  layout.white_is_zero = photometric == kWhiteIsZero;
  // libvips keeps two rows of tiles. A tile may have 10,000 pixels a side, even in a small picture.
  const auto tile_width =
      static_cast<int64_t>(std::min<uint64_t>(directory.number(kTileWidth, 0), 10000));
  const auto tile_height =
      static_cast<int64_t>(std::min<uint64_t>(directory.number(kTileHeight, 0), 10000));
  if (tile_width > 0) layout.tile_pixels = 2 * (layout.size.width + tile_width) * tile_height;
  layout.from_palette = photometric == kPalette;
  layout.ycbcr = photometric == kYCbCr && directory.number(kCompression, 1) != kTiffJpeg;
  set_alpha(layout, directory.numbers(kExtraSamples));
  return layout;
}

// The default of JFIF and TIFF: full range, BT.601.
void ycbcr_to_rgb(uint8_t* pixel) {
  const double y = pixel[0], cb = pixel[1] - 128.0, cr = pixel[2] - 128.0;
  const auto byte = [](double v) { return static_cast<uint8_t>(std::clamp(v + 0.5, 0.0, 255.0)); };
  pixel[0] = byte(y + 1.402 * cr);
  pixel[1] = byte(y - 0.344136286 * cb - 0.714136286 * cr);
  pixel[2] = byte(y + 1.772 * cb);
}

// Copies the rows of the image to the layout's colours and alpha.
bool take_rows(const VipsImageRef& image, const RowLayout& layout, Samples& samples,
               Tensor& result) {
  const int64_t colours = colours_of(layout.kind), channels = colours + (layout.alpha_band > 0);
  result = Tensor({layout.size.height, layout.size.width, channels}, DType::kUInt8);
  return for_each_row(image, [&](const void* row, int64_t y) {
    if (y >= layout.size.height) return;
    const uint8_t* in = samples.take(row);
    uint8_t* out = result.u8() + y * layout.size.width * channels;
    if (layout.bands == channels) {
      std::copy_n(in, layout.size.width * channels, out);
    } else {
      for (int64_t x = 0; x < layout.size.width; ++x) {
        std::copy_n(in + x * layout.bands, colours, out + x * channels);
        if (layout.alpha_band > 0)
          out[x * channels + colours] = in[x * layout.bands + layout.alpha_band];
      }
    }
    for (int64_t x = 0; layout.ycbcr && x < layout.size.width; ++x)
      ycbcr_to_rgb(out + x * channels);
  });
}

std::string blob(const VipsImageRef& image, const char* name) {
  const void* data = nullptr;
  size_t bytes = 0;
  if (vips().vips_image_get_typeof(image.get(), name) == 0 ||
      vips().vips_image_get_blob(image.get(), name, &data, &bytes) != 0)
    return "";
  return std::string(static_cast<const char*>(data), bytes);
}

// The most memory for decoding a picture: that of libvips and of the libraries it uses, and our own
// bytes, which count twice if they are turned or converted.
int64_t decoding_bytes(const RowLayout& layout, const std::string& format, const PngParts& png,
                       int orientation) {
  const int64_t sample = layout.format == VIPS_FORMAT_UCHAR    ? 1
                         : layout.format == VIPS_FORMAT_USHORT ? 2
                                                               : 8;
  // Bytes per pixel. 16 is for BMP, HEIC and AVIF.
  int64_t library = 16;
  if (format == "PNG") library = png.interlaced ? layout.bands * sample : 0;
  // One strip may hold the whole picture.
  if (format == "TIFF") library = layout.bands * sample;
  // A canvas and a frame.
  if (format == "GIF" || format == "WebP") library = 2 * 4;
  const int64_t own = std::min<int64_t>(layout.bands, 5) + (orientation != 1 ? 4 : 0) +
                      (colours_of(layout.kind) > 1 && layout.kind != ColourKind::kRgb ? 4 : 0);
  return layout.size.height * layout.size.width * (library + own) +
         layout.tile_pixels * layout.bands * sample;
}

void set_metadata(const VipsImageRef& image, const std::string& format, const PngParts& png,
                  StoredImage& result) {
  if (format == "PNG") {
    result.orientation = png.orientation;
    result.profile = png.profile;
    return;
  }
  result.profile = blob(image, VIPS_META_ICC_NAME);
  if (format == "TIFF") result.orientation = vips().vips_image_get_orientation(image.get());
  if (format == "WebP")
    result.orientation = TiffDirectory(blob(image, VIPS_META_EXIF_NAME)).orientation();
  // The decoder has already turned HEIC and AVIF pictures, so EXIF's orientation is ignored.
}

// A palette of greys is still RGB, and its profile is for RGB.
void spread_grey(StoredImage& image) {
  const int64_t channels = image.pixels.size(2);
  Tensor wide({image.pixels.size(0), image.pixels.size(1), channels + 2}, DType::kUInt8);
  const uint8_t* in = image.pixels.u8();
  uint8_t* out = wide.u8();
  for (int64_t i = image.pixels.elements() / channels; i > 0; --i, in += channels) {
    out = std::fill_n(out, 3, in[0]);
    out = std::copy(in + 1, in + channels, out);
  }
  image.pixels = wide;
  image.kind = ColourKind::kRgb;
}

// Returns false if libvips fails.
bool take_picture(const VipsImageRef& image, RowLayout layout, StoredImage& result) {
  VipsImageRef converted;
  if (layout.convert) {
    // The profile describes the colours before the conversion.
    result.profile.clear();
    if (vips().vips_colourspace(image.get(), converted.out(), VIPS_INTERPRETATION_sRGB, nullptr) !=
        0)
      return false;
    layout.bands = vips().vips_image_get_bands(converted.get());
    layout.format = vips().vips_image_get_format(converted.get());
  }
  Samples samples(layout);
  if (!take_rows(layout.convert ? converted : image, layout, samples, result.pixels)) return false;
  samples.check();
  result.kind = layout.kind;
  result.alpha = layout.alpha_band > 0;
  if (layout.from_palette && layout.kind == ColourKind::kGrey) spread_grey(result);
  return true;
}

}  // namespace

VipsHeader read_vips_header(std::string_view file, const std::string& format) {
  VipsHeader header;
  const auto otherwise = [&] { return no_reason(file, format); };
  if (format == "PNG") require_png_size(file, read_png_parts(file));
  run_vips("image", otherwise, [&] {
    const VipsImageRef image = open(file);
    if (!image) return false;
    header.size = {vips().vips_image_get_page_height(image.get()),
                   vips().vips_image_get_width(image.get())};
    header.frames = vips().vips_image_get_n_pages(image.get());
    return true;
  });
  return header;
}

StoredImage decode_vips(std::string_view file, const std::string& format) {
  PngParts png;
  if (format == "PNG") {
    png = read_png_parts(file);
    require_png_size(file, png);
    if (!png.essential.empty()) file = png.essential;
  }
  BmpParts bmp;
  if (format == "BMP") {
    bmp = read_bmp_parts(file);
    if (!bmp.common.empty()) file = bmp.common;
  }
  const auto otherwise = [&] { return no_reason(file, format); };
  StoredImage result;
  RowLayout layout;
  run_vips("image", otherwise, [&] {
    const VipsImageRef image = open(file);
    if (!image) return false;
    layout = layout_of(image, format, file);
    if (bmp.opaque) layout.alpha_band = 0;
    require_few_pixels(layout.size);
    require_known_samples(layout);
    set_metadata(image, format, png, result);
    return true;
  });
  // Taken before run_vips(), because a thread that waits for memory must not hold the lock of
  // libvips.
  result.lease = std::make_shared<MemoryLease>(
      layout.size, decoding_bytes(layout, format, png, result.orientation));
  run_vips("image", otherwise, [&] {
    const VipsImageRef image = open(file);
    return image && take_picture(image, layout, result);
  });
  return result;
}

Tensor cmyk_to_rgb(const Tensor& inks) {
  const int64_t height = inks.size(0), width = inks.size(1), bands = inks.size(2);
  Tensor result({height, width, bands - 1}, DType::kUInt8);
  run_vips(
      "image", [] { return "the inks cannot be converted to RGB"; },
      [&] {
        const VipsImageRef view =
            vips_view("image", inks.u8(), height, width, bands, VIPS_INTERPRETATION_CMYK);
        VipsImageRef srgb;
        return vips().vips_colourspace(view.get(), srgb.out(), VIPS_INTERPRETATION_sRGB, nullptr) ==
                   0 &&
               for_each_row(srgb, [&](const void* row, int64_t y) {
                 std::copy_n(static_cast<const uint8_t*>(row), width * (bands - 1),
                             result.u8() + y * width * (bands - 1));
               });
      });
  return result;
}

}  // namespace ddpm
