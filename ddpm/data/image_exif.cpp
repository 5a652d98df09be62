// EXIF blocks are TIFF files without pixels, so one reader serves both. libvips cannot replace it.
// It does not report what the samples of a TIFF mean, nor the metadata after the pixels of a PNG.
#include <algorithm>

#include "ddpm/data/image_parts.h"

namespace ddpm {
namespace {

using namespace std::string_view_literals;

// The most numbers of one tag.
constexpr size_t kMostNumbers = 64;

// Reads unsigned numbers at any position of a file. Numbers beyond its end are 0.
class Numbers {
 public:
  Numbers(std::string_view bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}
  uint64_t at(uint64_t place, int width) const {
    if (place > bytes_.size() || bytes_.size() - place < static_cast<uint64_t>(width)) return 0;
    uint64_t value = 0;
    for (int i = 0; i < width; ++i) {
      const int byte = big_endian_ ? i : width - 1 - i;
      value = value << 8 | static_cast<unsigned char>(bytes_[place + static_cast<uint64_t>(byte)]);
    }
    return value;
  }

 private:
  std::string_view bytes_;
  bool big_endian_;
};

int width_of(uint64_t type) {
  switch (type) {
    case 1:
      return 1;  // BYTE
    case 3:
      return 2;  // SHORT
    case 4:
      return 4;  // LONG
    case 16:
      return 8;  // LONG8
  }
  // The type has no whole numbers.
  return 0;
}

}  // namespace

TiffDirectory::TiffDirectory(std::string_view file) {
  if (file.starts_with("Exif\0"sv)) file.remove_prefix(std::min<size_t>(file.size(), 6));
  if (!file.starts_with("II") && !file.starts_with("MM")) return;
  const Numbers read(file, file[0] == 'M');
  const uint64_t version = read.at(2, 2);
  if (version != 42 && version != 43) return;
  // BigTIFF has wider offsets.
  const bool big = version == 43;
  const int offset_width = big ? 8 : 4;
  const uint64_t directory = read.at(static_cast<uint64_t>(offset_width), offset_width);
  if (directory == 0 || directory >= file.size()) return;
  const int count_width = big ? 8 : 2;
  const uint64_t entry_bytes = big ? 20 : 12;
  const uint64_t first = directory + static_cast<uint64_t>(count_width);
  if (first > file.size()) return;
  const uint64_t count =
      std::min(read.at(directory, count_width), (file.size() - first) / entry_bytes);
  for (uint64_t i = 0; i < std::min<uint64_t>(count, 4096); ++i) {
    const uint64_t place = first + i * entry_bytes;
    const int width = width_of(read.at(place + 2, 2));
    if (width == 0) continue;
    const uint64_t values = read.at(place + 4, offset_width);
    // Values that fit into the entry are stored in it.
    const uint64_t inside = place + 4 + static_cast<uint64_t>(offset_width);
    const bool fits = values <= static_cast<uint64_t>(offset_width / width);
    const uint64_t begin = fits ? inside : read.at(inside, offset_width);
    if (begin >= file.size()) continue;
    Entry entry{static_cast<int>(read.at(place, 2)), {}};
    for (uint64_t k = 0; k < std::min<uint64_t>(values, kMostNumbers); ++k)
      entry.numbers.push_back(read.at(begin + k * static_cast<uint64_t>(width), width));
    entries_.push_back(std::move(entry));
  }
}

std::vector<uint64_t> TiffDirectory::numbers(int tag) const {
  for (const Entry& entry : entries_)
    if (entry.tag == tag) return entry.numbers;
  return {};
}

uint64_t TiffDirectory::number(int tag, uint64_t otherwise) const {
  const std::vector<uint64_t> all = numbers(tag);
  return all.empty() ? otherwise : all[0];
}

int TiffDirectory::orientation() const {
  const uint64_t value = number(kOrientation, 1);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Tensor upright(const Tensor& image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const int64_t height = image.size(0), width = image.size(1), channels = image.size(2);
  const bool turned = orientation >= 5;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Tensor result({turned ? width : height, turned ? height : width, channels}, DType::kUInt8);
  uint8_t* out = result.u8();
  for (int64_t y = 0; y < result.size(0); ++y) {
    for (int64_t x = 0; x < result.size(1); ++x, out += channels) {
      const int64_t row = turned ? x : y, column = turned ? y : x;
      const int64_t from_row = from_bottom ? height - 1 - row : row;
      const int64_t from_column = from_right ? width - 1 - column : column;
      std::copy_n(image.u8() + (from_row * width + from_column) * channels, channels, out);
    }
  }
  return result;
}

}  // namespace ddpm
