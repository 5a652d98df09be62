// Finds the format from the first bytes, because file names may be wrong. libvips has many loaders.
// It may use only those of the formats that we support.
#include <algorithm>

#include "ddpm/data/image.h"

namespace ddpm {
namespace {

using namespace std::string_view_literals;

// Texts may also begin with "BM". In a BMP the size of the second header follows.
bool is_bmp(std::string_view file) {
  constexpr unsigned char kHeaderSizes[] = {12, 16, 40, 52, 56, 64, 108, 124};
  if (!file.starts_with("BM") || file.size() < 18 || file.substr(15, 3) != "\0\0\0"sv) return false;
  return std::find(std::begin(kHeaderSizes), std::end(kHeaderSizes),
                   static_cast<unsigned char>(file[14])) != std::end(kHeaderSizes);
}

// HEIC and AVIF files consist of boxes. The first box lists the brands that the file conforms to.
const char* format_of_boxes(std::string_view file) {
  if (file.size() < 16 || file.substr(4, 4) != "ftyp") return nullptr;
  size_t end = 0;
  for (const char c : file.substr(0, 4)) end = end << 8 | static_cast<unsigned char>(c);
  end = std::min(end, file.size());
  for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) {
    const std::string_view brand = file.substr(at, 4);
    if (brand == "avif" || brand == "avis") return "AVIF";
    for (const char* heic : {"heic", "heix", "hevc", "hevx", "heim", "heis"})
      if (brand == heic) return "HEIC";
  }
  return nullptr;
}

}  // namespace

const char* image_format(std::string_view first_bytes) {
  const auto starts = [&](std::string_view magic) { return first_bytes.starts_with(magic); };
  if (starts("\x89PNG\r\n\x1a\n"sv)) return "PNG";
  if (starts("\xff\xd8\xff"sv)) return "JPEG";
  if (starts("RIFF"sv) && first_bytes.size() >= 12 && first_bytes.substr(8, 4) == "WEBP")
    return "WebP";
  if (starts("GIF87a"sv) || starts("GIF89a"sv)) return "GIF";
  if (starts("II*\0"sv) || starts("MM\0*"sv) || starts("II+\0"sv) || starts("MM\0+"sv))
    return "TIFF";
  if (is_bmp(first_bytes)) return "BMP";
  return format_of_boxes(first_bytes);
}

}  // namespace ddpm
