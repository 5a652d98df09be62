// The parts that the files behind image.h share. Private to data.
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

// The most pixels of one file at its full size. The requested size does not matter.
inline constexpr int64_t kMostPixels = int64_t{1} << 27;
// The memory that decoding may take on all threads together. A file that needs more by itself is
// refused.
inline constexpr int64_t kDecodeMemory = int64_t{1} << 30;

// Throws Error for a size without pixels or with more than kMostPixels.
void require_few_pixels(ImageSize size);

// Reserves a part of kDecodeMemory, or of half of the system's free memory if that is less. The
// constructor waits until other threads have returned enough. It throws Error if the part is larger
// than kDecodeMemory, and SystemError (ENOMEM) if the system does not have that much.
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
// 1, 3, 4 or 3.
int64_t colours_of(ColourKind kind);

// A picture as its file stores it, but with samples of bytes.
struct StoredImage {
  // The first member, so that it is destroyed after the pixels.
  std::shared_ptr<MemoryLease> lease;
  // [H, W, colours, and alpha if the picture has it]. CMYK: 255 is full ink. Lab: L from 0 to 255,
  // a and b around 128.
  Tensor pixels;
  ColourKind kind = ColourKind::kRgb;
  bool alpha = false;
  // The ICC profile. Empty if there is none.
  std::string profile;
  // As in EXIF, from 1 to 8.
  int orientation = 1;
};

// The picture, turned and mirrored as the EXIF orientation says.
Tensor upright(const Tensor& image, int orientation);

// Formats ----------------------------------------------------------------------------------------

// These functions throw Error if the file is damaged or larger than the limits.
ImageSize read_jpeg_header(std::string_view file);
// Decodes at 1/shrink of the size, where shrink is 1, 2, 4 or 8. The whole file is always read, so
// that damage is found at every size.
StoredImage decode_jpeg(std::string_view file, int64_t shrink);

// All other formats are read by libvips.
struct VipsHeader {
  ImageSize size;
  int64_t frames = 1;
};
VipsHeader read_vips_header(std::string_view file, const std::string& format);
StoredImage decode_vips(std::string_view file, const std::string& format);
// CMYK without a profile [H, W, 4], or 5 channels with alpha -> sRGB. Alpha is kept.
Tensor cmyk_to_rgb(const Tensor& inks);

// A chunk of a PNG, which follows the signature of 8 bytes or another chunk.
struct PngChunk {
  // Includes the length, the type and the checksum.
  std::string_view whole, type, data;
  bool complete = false;

  bool intact() const;
};
// The chunk at the start of the rest of a file.
PngChunk png_chunk_at(std::string_view rest);
// The text of a tEXt, zTXt or iTXt chunk. Empty if its keyword is another.
std::string png_text_of(const PngChunk& chunk, std::string_view keyword);

// Our own code also reads the chunks of a PNG, for two reasons: libpng would unpack every
// compressed text and profile in full, and libvips ignores what follows the pixels.
struct PngParts {
  ImageSize size;
  bool interlaced = false;
  int orientation = 1;
  std::string profile;
  // The file without the chunks that its pixels do not need. Empty if all are needed.
  std::string essential;
};
PngParts read_png_parts(std::string_view file);

struct BmpParts {
  // The fourth byte of a pixel has no meaning as alpha.
  bool opaque = false;
  // The file with a header that ImageMagick reads correctly. Empty if its own header is one.
  std::string common;
};
BmpParts read_bmp_parts(std::string_view file);

// Directories of tagged numbers: EXIF and TIFF ---------------------------------------------------

class TiffDirectory {
 public:
  static constexpr int kOrientation = 274;
  // Reads the first directory of a TIFF file, or of an EXIF block with or without "Exif\0\0" before
  // it. For other files the directory is empty.
  explicit TiffDirectory(std::string_view file);
  // The whole numbers of the tag, at most 64. Empty if there are none.
  std::vector<uint64_t> numbers(int tag) const;
  uint64_t number(int tag, uint64_t otherwise) const;
  // From 1 to 8. 1 if it is missing or invalid.
  int orientation() const;

 private:
  struct Entry {
    int tag = 0;
    std::vector<uint64_t> numbers;
  };
  std::vector<Entry> entries_;
};

// Colour profiles --------------------------------------------------------------------------------

// Converts pixels [H, W, colours and others] to sRGB by an ICC profile: -> [H, W, 3], or 4 channels
// if the last one is alpha, which is kept. Returns an undefined tensor if the profile cannot be
// applied, because it is damaged or made for another kind of colours. The latter happens if a
// program converts a picture and keeps the old profile.
Tensor apply_profile(const Tensor& image, ColourKind kind, bool alpha, const std::string& profile);

// CIE Lab [H, W, 3, or 4 with alpha] -> sRGB. Alpha is kept.
Tensor lab_to_rgb(const Tensor& image, bool alpha);

}  // namespace ddpm
