#include <zlib.h>

#include <algorithm>

#include "ddpm/data/image_parts.h"

namespace ddpm {
namespace {

using namespace std::string_view_literals;

constexpr size_t kMostProfileBytes = size_t{16} << 20;

uint32_t big_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (const char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

// Empty where the data is damaged or larger than any profile.
std::string inflate_profile(std::string_view data) {
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) return "";
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  std::string result;
  int status = Z_OK;
  while (status == Z_OK && result.size() <= kMostProfileBytes) {
    char piece[16384];
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    status = inflate(&stream, Z_NO_FLUSH);
    result.append(piece, sizeof piece - stream.avail_out);
  }
  inflateEnd(&stream);
  return status == Z_STREAM_END && result.size() <= kMostProfileBytes ? result : "";
}

struct Chunk {
  std::string_view whole, type, data;  // whole: with length, type and checksum
  bool complete = false;

  bool intact() const {
    const uLong sum = crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(type.data()),
                            static_cast<uInt>(type.size() + data.size()));
    return complete && sum == big_endian(whole.substr(whole.size() - 4));
  }
};

Chunk chunk_at(std::string_view rest) {
  Chunk chunk{.whole = rest};
  if (rest.size() < 12) return chunk;
  const uint64_t length = big_endian(rest);
  chunk.type = rest.substr(4, 4);
  if (length > rest.size() - 12) return chunk;
  chunk.whole = rest.substr(0, length + 12);
  chunk.data = rest.substr(8, length);
  chunk.complete = true;
  return chunk;
}

// An iCCP chunk: a name, a zero, the method of compression, which is 0, and the profile.
std::string profile_of(std::string_view data) {
  const size_t end = data.find('\0');
  if (end == data.npos || end + 2 > data.size() || data[end + 1] != '\0') return "";
  return inflate_profile(data.substr(end + 2));
}

}  // namespace

PngParts read_png_parts(std::string_view file) {
  constexpr size_t kSignature = 8;
  PngParts parts;
  std::string essential(file.substr(0, kSignature));
  bool needs_all = true, oriented = false;
  for (std::string_view rest = file.substr(std::min(kSignature, file.size())); !rest.empty();) {
    const Chunk chunk = chunk_at(rest);
    rest.remove_prefix(chunk.whole.size());
    if (chunk.type == "IHDR"sv && chunk.data.size() >= 13 && parts.size.width == 0) {
      parts.size = {big_endian(chunk.data.substr(4)), big_endian(chunk.data)};
      parts.interlaced = chunk.data[12] != 0;
    } else if (chunk.type == "iCCP"sv && parts.profile.empty() && chunk.intact()) {
      parts.profile = profile_of(chunk.data);
    } else if (chunk.type == "eXIf"sv && !oriented && chunk.intact()) {
      parts.orientation = TiffDirectory(chunk.data).orientation();
      oriented = true;
    }
    // Lower case begins the names of chunks that a decoder may leave out.
    const bool ancillary = !chunk.type.empty() && (chunk.type[0] & 0x20) != 0;
    if (chunk.complete && ancillary && chunk.type != "tRNS"sv)
      needs_all = false;
    else
      essential += chunk.whole;
    if (chunk.type == "IEND"sv) break;
  }
  if (!needs_all) parts.essential = std::move(essential);
  return parts;
}

}  // namespace ddpm
