// libvips reads BMPs through ImageMagick, which reads two kinds of BMP wrongly. This file finds
// these.
#include "ddpm/data/image_parts.h"

namespace ddpm {
namespace {

constexpr size_t kFileHeader = 14, kInfoHeader = 40, kOs2Header = 64;

uint64_t little_endian(std::string_view file, size_t place, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(file[place + i]);
  return value;
}

void set_little_endian(std::string& file, size_t place, uint64_t value) {
  for (size_t i = 0; i < 4; ++i) file[place + i] = static_cast<char>(value >> (8 * i));
}

}  // namespace

BmpParts read_bmp_parts(std::string_view file) {
  BmpParts parts;
  if (file.size() < kFileHeader + kInfoHeader) return parts;
  const uint64_t header = little_endian(file, kFileHeader, 4);
  if (header < kInfoHeader) return parts;
  const uint64_t bits = little_endian(file, 28, 2), compression = little_endian(file, 30, 4);
  // Without masks the fourth byte of a pixel has no meaning, but ImageMagick uses it as alpha.
  parts.opaque = bits == 32 && compression == 0;
  // ImageMagick reads the palette of an OS/2 2.x file as if the file had the header of OS/2 1.x. Up
  // to run-length coding, the longer header adds nothing to a common one.
  if (header == kOs2Header && compression <= 2 && file.size() >= kFileHeader + kOs2Header) {
    parts.common = std::string(file.substr(0, kFileHeader + kInfoHeader));
    parts.common += file.substr(kFileHeader + kOs2Header);
    set_little_endian(parts.common, kFileHeader, kInfoHeader);
    constexpr size_t kDropped = kOs2Header - kInfoHeader;
    set_little_endian(parts.common, 2, parts.common.size());
    const uint64_t pixels = little_endian(file, 10, 4);
    if (pixels >= kDropped) set_little_endian(parts.common, 10, pixels - kDropped);
  }
  return parts;
}

}  // namespace ddpm
