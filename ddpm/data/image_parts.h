// Between the files that make up image.h. Not for other rooms.
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

// The pixels that one file may hold at its full size, at whatever size it is wanted.
inline constexpr int64_t kMostPixels = int64_t{1} << 27;
// What decoding may take of memory, all threads together; a file that takes more alone is refused.
inline constexpr int64_t kDecodeMemory = int64_t{1} << 30;

void require_few_pixels(ImageSize size);

// Holds a part of kDecodeMemory, or of half of what the system has where that is less. The
// constructor waits until others have given back enough; it throws Error where the part is larger
// than kDecodeMemory, and SystemError (ENOMEM) where the system has not so much.
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
  std::shared_ptr<MemoryLease> lease;  // first, so that it ends when the pixels are gone
  Tensor pixels;  // [H, W, colours, and alpha where there is one]; CMYK: 255 is all ink;
                  // Lab: L from 0 to 255, a and b around 128
  ColourKind kind = ColourKind::kRgb;
  bool alpha = false;
  std::string profile;  // ICC; empty: none
  int orientation = 1;  // EXIF's 1 ... 8
};

// The picture turned and mirrored as EXIF's orientation says.
Tensor upright(const Tensor& image, int orientation);

// Formats ----------------------------------------------------------------------------------------

// Each reader throws Error where the file is damaged or larger than the limits.
ImageSize read_jpeg_header(std::string_view file);
// At 1/shrink of its size, where shrink is 1, 2, 4 or 8. The verdict on damage does not depend on
// it: the whole file is decoded in any case.
StoredImage decode_jpeg(std::string_view file, int64_t shrink);

// Every other format, by libvips.
struct VipsHeader {
  ImageSize size;
  int64_t frames = 1;
};
VipsHeader read_vips_header(std::string_view file, const std::string& format);
StoredImage decode_vips(std::string_view file, const std::string& format);
// Inks without a profile [H, W, 4], or with alpha 5 -> sRGB, alpha kept.
Tensor cmyk_to_rgb(const Tensor& inks);

// A PNG's chunks are walked here too: libpng unpacks every compressed text and profile in full, and
// libvips does not look at what follows the pixels.
struct PngParts {
  ImageSize size;
  bool interlaced = false;
  int orientation = 1;
  std::string profile;
  std::string essential;  // the file without what its pixels do not need; empty: all is needed
};
PngParts read_png_parts(std::string_view file);
// What is wrong with a PNG's chunks, of which libvips says nothing; empty: nothing is seen.
std::string png_damage(std::string_view file);

struct BmpParts {
  bool opaque = false;  // whatever alpha is read
  std::string common;   // the file with a header that is read rightly; empty: it has one
};
BmpParts read_bmp_parts(std::string_view file);

// Directories of tagged numbers: EXIF and TIFF ---------------------------------------------------

class TiffDirectory {
 public:
  static constexpr int kOrientation = 274;
  // Of the first directory of a TIFF file or of an EXIF block, with or without "Exif\0\0" before
  // it. Empty where this is neither.
  explicit TiffDirectory(std::string_view file);
  // The whole numbers under the tag, at most 64; empty: there are none.
  std::vector<uint64_t> numbers(int tag) const;
  uint64_t number(int tag, uint64_t otherwise) const;
  int orientation() const;  // 1 ... 8; 1 where it is missing or invalid

 private:
  struct Entry {
    int tag = 0;
    std::vector<uint64_t> numbers;
  };
  std::vector<Entry> entries_;
};

// Colour profiles --------------------------------------------------------------------------------

// The colours of pixels [H, W, colours and others], brought to sRGB by an ICC profile: [H, W, 3],
// or 4 where the last channel is alpha, which stays. Undefined where the profile cannot be applied:
// it is damaged, or made for colours of another kind, as when a tool converted the picture and kept
// the profile.
Tensor apply_profile(const Tensor& image, ColourKind kind, bool alpha, const std::string& profile);

// CIE Lab [H, W, 3, or with alpha 4] -> sRGB, alpha kept.
Tensor lab_to_rgb(const Tensor& image, bool alpha);

}  // namespace ddpm
