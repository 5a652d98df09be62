// What the files that implement image.h share. Private to this room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/data/resize.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// Limits -----------------------------------------------------------------------------------------

// The most pixels that one file may hold at its full size, whatever size is wanted of it.
inline constexpr int64_t kMostPixels = int64_t{1} << 27;
// How much memory decoding may take on all threads together. A file that alone takes more is
// refused.
inline constexpr int64_t kDecodeMemory = int64_t{1} << 30;

void require_few_pixels(ImageSize size);

// Reserves a part of kDecodeMemory, or of half of the system's free memory where that is less. The
// constructor waits until other threads have given back enough. It throws Error where the part is
// larger than kDecodeMemory, and SystemError (ENOMEM) where the system does not have as much.
class MemoryLease {
 public:
  MemoryLease(ImageSize size, int64_t bytes);
  ~MemoryLease();
  MemoryLease(const MemoryLease&) = delete;
  MemoryLease& operator=(const MemoryLease&) = delete;

 private:
  int64_t bytes_;
};

// Stored pictures --------------------------------------------------------------------------------

enum class ColourKind { kGrey, kRgb, kCmyk, kLab };
int64_t colours_of(ColourKind kind);  // 1, 3, 4 or 3

// A picture as its file stores it, but in bytes.
struct StoredImage {
  // The first member, so that it is destroyed after the pixels.
  std::shared_ptr<MemoryLease> lease;
  // [H, W, colours, and alpha where there is one]. CMYK: 255 is full ink. Lab: L from 0 to 255, a
  // and b around 128.
  Tensor pixels;
  ColourKind kind = ColourKind::kRgb;
  bool alpha = false;
  // ICC; empty: none.
  std::string profile;
  // As in EXIF, from 1 to 8.
  int orientation = 1;
};

// The picture, turned and mirrored as the EXIF orientation says.
Tensor upright(const Tensor& image, int orientation);

// Formats ----------------------------------------------------------------------------------------

// Each reader throws Error where the file is damaged or larger than the limits.
ImageSize read_jpeg_header(std::string_view file);
// Decodes at 1/shrink of the size, where shrink is 1, 2, 4 or 8. The whole file is read in any
// case, so that damage is found at every size alike.
StoredImage decode_jpeg(std::string_view file, int64_t shrink);

// All other formats, by libvips.
struct VipsHeader {
  ImageSize size;
  int64_t frames = 1;
};
VipsHeader read_vips_header(std::string_view file, const std::string& format);
StoredImage decode_vips(std::string_view file, const std::string& format);
// CMYK without a profile [H, W, 4], or 5 channels with alpha -> sRGB, alpha kept.
Tensor cmyk_to_rgb(const Tensor& inks);

// The chunks of a PNG are also read by our own code: libpng would unpack every compressed text and
// profile in full, and libvips ignores what follows the pixels.
struct PngParts {
  ImageSize size;
  bool interlaced = false;
  int orientation = 1;
  std::string profile;
  // The file without the chunks that its pixels do not need. Empty: all are needed.
  std::string essential;
};
PngParts read_png_parts(std::string_view file);
// What is wrong with the chunks of a PNG, which libvips does not say. Empty: nothing was found.
std::string png_damage(std::string_view file);

struct BmpParts {
  // The alpha that is read has no meaning.
  bool opaque = false;
  // The file with a header that is read correctly. Empty: its own header is.
  std::string common;
};
BmpParts read_bmp_parts(std::string_view file);

// Directories of tagged numbers: EXIF and TIFF ---------------------------------------------------

class TiffDirectory {
 public:
  static constexpr int kOrientation = 274;
  // Reads the first directory of a TIFF file, or of an EXIF block with or without "Exif\0\0" before
  // it. For anything else the directory is empty.
  explicit TiffDirectory(std::string_view file);
  // The whole numbers of the tag, at most 64. Empty: there are none.
  std::vector<uint64_t> numbers(int tag) const;
  uint64_t number(int tag, uint64_t otherwise) const;
  // From 1 to 8; 1 where it is missing or invalid.
  int orientation() const;

 private:
  struct Entry {
    int tag = 0;
    std::vector<uint64_t> numbers;
  };
  std::vector<Entry> entries_;
};

// Colour profiles --------------------------------------------------------------------------------

// Converts pixels [H, W, colours and others] to sRGB by an ICC profile: [H, W, 3], or 4 channels
// where the last one is alpha, which stays. The result is an undefined tensor where the profile
// cannot be applied, because it is damaged or made for another kind of colours. The latter happens
// when a program converts a picture and keeps the old profile.
Tensor apply_profile(const Tensor& image, ColourKind kind, bool alpha, const std::string& profile);

// CIE Lab [H, W, 3, or with alpha 4] -> sRGB, alpha kept.
Tensor lab_to_rgb(const Tensor& image, bool alpha);

}  // namespace ddpm
