// Converts rows of libvips to bytes. Only for image_vips_decode.cpp.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/data/image_parts.h"
#include "ddpm/data/image_vips-inl.h"

namespace ddpm {

// The layout of the rows of an opened file.
struct RowLayout {
  ImageSize size;
  int64_t bands = 0;
  // 0: there is none.
  int64_t alpha_band = 0;
  VipsBandFormat format = VIPS_FORMAT_UCHAR;
  ColourKind kind = ColourKind::kRgb;
  // libvips' LABQ: four bytes per pixel.
  bool packed_lab = false;
  // libvips must convert the colours to sRGB (LogLuv and similar).
  bool convert = false;
  // Grey values may be the colours of a palette, which are RGB.
  bool from_palette = false;
  bool ycbcr = false;
  bool white_is_zero = false;
  // The number of pixels in the tiles that libvips keeps.
  int64_t tile_pixels = 0;
};

inline const char* refusal_of(VipsBandFormat format) {
  switch (format) {
    case VIPS_FORMAT_CHAR:
    case VIPS_FORMAT_SHORT:
    case VIPS_FORMAT_INT:
      return "signed whole numbers";
    case VIPS_FORMAT_UINT:
      return "whole numbers of 32 bits";
    case VIPS_FORMAT_COMPLEX:
    case VIPS_FORMAT_DPCOMPLEX:
      return "complex numbers";
    default:
      return nullptr;
  }
}

// For these types no standard defines which value is white. Some programs use 255, others 65535 or
// the largest value of the type.
inline void require_known_samples(const RowLayout& layout) {
  if (layout.convert || layout.kind == ColourKind::kLab) return;
  if (const char* kind = refusal_of(layout.format))
    fail("image",
         fmt::format("its samples are {}, for which no standard says which value is white; "
                     "unsigned 8 and 16 bits, and floating point from 0 to 1, are read",
                     kind));
  if (layout.white_is_zero &&
      (layout.format == VIPS_FORMAT_FLOAT || layout.format == VIPS_FORMAT_DOUBLE))
    fail("image",
         "its samples are floating point in which 0 is white; no standard says which value is then "
         "black");
}

// Converts the samples of a row to bytes.
class Samples {
 public:
  explicit Samples(const RowLayout& layout)
      : format_(layout.format),
        packed_lab_(layout.packed_lab),
        bands_(layout.bands),
        count_(layout.size.width * layout.bands),
        bytes_(count_) {}
  const uint8_t* take(const void* row) {
    if (packed_lab_) return take_packed_lab(static_cast<const uint8_t*>(row));
    switch (format_) {
      case VIPS_FORMAT_SHORT:
        return take_lab(static_cast<const int16_t*>(row));
      case VIPS_FORMAT_USHORT:
        for (int64_t i = 0; i < count_; ++i)
          bytes_[i] = static_cast<uint8_t>(static_cast<const uint16_t*>(row)[i] >> 8);
        return bytes_.data();
      case VIPS_FORMAT_FLOAT:
        return take_real(static_cast<const float*>(row));
      case VIPS_FORMAT_DOUBLE:
        return take_real(static_cast<const double*>(row));
      default:
        return static_cast<const uint8_t*>(row);
    }
  }
  // Throws Error if a floating-point sample was not between 0 and 1.
  void check() const {
    constexpr double kSlack = 0.5 / 255;
    if (!not_a_number_ && least_ >= -kSlack && most_ <= 1 + kSlack) return;
    fail("image",
         not_a_number_
             ? "its floating-point samples include NaN"
             : fmt::format("its floating-point samples go from {:g} to {:g}; those from 0, which "
                           "is black, to 1, which is white, are read",
                           least_, most_));
  }

 private:
  // Four bytes per pixel: L, a, b and their lowest bits. a and b are signed.
  const uint8_t* take_packed_lab(const uint8_t* row) {
    for (int64_t i = 0; i < count_; i += 3, row += 4) {
      bytes_[i] = row[0];
      for (int c = 1; c < 3; ++c) bytes_[i + c] = row[c] ^ 0x80;
    }
    return bytes_.data();
  }
  // L goes from 0 to 32767, a and b are in 256ths, other bands have 16 bits.
  const uint8_t* take_lab(const int16_t* row) {
    for (int64_t i = 0; i < count_; i += bands_) {
      bytes_[i] = static_cast<uint8_t>((std::max<int>(row[i], 0) * 255 + 16383) / 32767);
      for (int64_t c = 1; c < 3; ++c)
        bytes_[i + c] = static_cast<uint8_t>(std::min((row[i + c] + 128) / 256.0 + 128, 255.0));
      for (int64_t c = 3; c < bands_; ++c)
        bytes_[i + c] = static_cast<uint8_t>(static_cast<uint16_t>(row[i + c]) >> 8);
    }
    return bytes_.data();
  }
  template <class T>
  const uint8_t* take_real(const T* row) {
    for (int64_t i = 0; i < count_; ++i) {
      const double value = static_cast<double>(row[i]);
      if (std::isnan(value)) not_a_number_ = true;
      least_ = std::min(least_, value);
      most_ = std::max(most_, value);
      bytes_[i] =
          static_cast<uint8_t>(std::isnan(value) ? 0 : std::clamp(value, 0.0, 1.0) * 255 + 0.5);
    }
    return bytes_.data();
  }

  VipsBandFormat format_;
  bool packed_lab_;
  int64_t bands_, count_;
  std::vector<uint8_t> bytes_;
  bool not_a_number_ = false;
  double least_ = 0, most_ = 1;
};

}  // namespace ddpm
