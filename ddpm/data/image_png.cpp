#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "ddpm/data/image.h"
#include "ddpm/data/image_parts.h"

namespace ddpm {
namespace {

using namespace std::string_view_literals;

constexpr size_t kMostUnpacked = size_t{16} << 20;

uint32_t big_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (const char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

// Unpacks zlib data. Empty if the data is damaged, or larger than any profile or EXIF block.
std::string unpack(std::string_view data) {
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) return "";
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  std::string result;
  int status = Z_OK;
  while (status == Z_OK && result.size() <= kMostUnpacked) {
    char piece[16384];
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    status = inflate(&stream, Z_NO_FLUSH);
    result.append(piece, sizeof piece - stream.avail_out);
  }
  inflateEnd(&stream);
  return status == Z_STREAM_END && result.size() <= kMostUnpacked ? result : "";
}

}  // namespace

bool PngChunk::intact() const {
  const uLong sum = crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(type.data()),
                          static_cast<uInt>(type.size() + data.size()));
  return complete && sum == big_endian(whole.substr(whole.size() - 4));
}

PngChunk png_chunk_at(std::string_view rest) {
  PngChunk chunk{.whole = rest};
  if (rest.size() < 12) return chunk;
  const uint64_t length = big_endian(rest);
  chunk.type = rest.substr(4, 4);
  if (length > rest.size() - 12) return chunk;
  chunk.whole = rest.substr(0, length + 12);
  chunk.data = rest.substr(8, length);
  chunk.complete = true;
  return chunk;
}

std::string png_text_of(const PngChunk& chunk, std::string_view keyword) {
  std::string_view data = chunk.data;
  if (!data.starts_with(keyword) || data.size() <= keyword.size() + 1 ||
      data[keyword.size()] != '\0')
    return "";
  data.remove_prefix(keyword.size() + 1);
  if (chunk.type == "tEXt"sv) return std::string(data);
  if (chunk.type == "zTXt"sv) return data[0] == '\0' ? unpack(data.substr(1)) : "";
  if (chunk.type != "iTXt"sv || data.size() < 2) return "";
  const bool packed = data[0] != '\0';
  data.remove_prefix(2);
  // Skip the language and the translated keyword.
  for (int i = 0; i < 2; ++i) {
    const size_t end = data.find('\0');
    if (end == data.npos) return "";
    data.remove_prefix(end + 1);
  }
  return packed ? unpack(data) : std::string(data);
}

namespace {

// The profile in an iCCP chunk. The chunk holds a name, a zero, the method of compression (0) and
// the profile.
std::string profile_of(std::string_view data) {
  const size_t end = data.find('\0');
  if (end == data.npos || end + 2 > data.size() || data[end + 1] != '\0') return "";
  return unpack(data.substr(end + 2));
}

// ImageMagick stores EXIF as text: a line with the kind, a line with the length, then hexadecimal
// digits.
std::string exif_of(const std::string& raw_profile) {
  size_t at = 0;
  for (int line = 0; line < 3; ++line) {
    at = raw_profile.find('\n', at);
    if (at == raw_profile.npos) return "";
    ++at;
  }
  std::string bytes;
  constexpr const char* kDigits = "0123456789abcdef";
  int digits = 0, value = 0;
  for (const char c : raw_profile.substr(at)) {
    const char* digit =
        c == '\0' ? nullptr : std::strchr(kDigits, std::tolower(static_cast<unsigned char>(c)));
    if (digit == nullptr) continue;
    value = value << 4 | static_cast<int>(digit - kDigits);
    if (++digits % 2 == 0) bytes += static_cast<char>(value & 0xff);
  }
  return bytes;
}

// tiff:Orientation may be an attribute or an element of XMP. Returns 0 if it is missing.
int orientation_of_xmp(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (size_t at = xmp.find(kName); at != xmp.npos; at = xmp.find(kName, at + 1)) {
    std::string_view rest = xmp.substr(at + kName.size());
    if (!rest.starts_with("=\"") && !rest.starts_with("='") && !rest.starts_with(">")) continue;
    rest.remove_prefix(rest[0] == '=' ? 2 : 1);
    if (!rest.empty() && rest[0] >= '1' && rest[0] <= '8') return rest[0] - '0';
  }
  return 0;
}

constexpr std::string_view kRawExif = "Raw profile type exif", kXmp = "XML:com.adobe.xmp";

// Several chunks of a PNG may hold an orientation. The first orientation that is found is used.
struct Orientations {
  std::string_view exif;
  std::string raw_exif, xmp;
  int texts = 0;

  void look_at(const PngChunk& chunk) {
    if (chunk.type == "eXIf"sv && exif.empty() && chunk.intact()) exif = chunk.data;
    if (!chunk.type.ends_with("TXt"sv) && !chunk.type.ends_with("EXt"sv)) return;
    if (!chunk.data.starts_with(kRawExif) && !chunk.data.starts_with(kXmp)) return;
    // Unpacking takes time, and a file may hold any number of text chunks.
    constexpr int kMostTexts = 4;
    if (++texts > kMostTexts) return;
    if (raw_exif.empty()) raw_exif = exif_of(png_text_of(chunk, kRawExif));
    if (xmp.empty()) xmp = png_text_of(chunk, kXmp);
  }
  int value() const {
    for (const std::string_view block : {exif, std::string_view(raw_exif)}) {
      const TiffDirectory directory(block);
      if (!directory.numbers(TiffDirectory::kOrientation).empty()) return directory.orientation();
    }
    return std::max(1, orientation_of_xmp(xmp));
  }
};

}  // namespace

PngParts read_png_parts(std::string_view file) {
  constexpr size_t kSignature = 8;
  PngParts parts;
  std::string essential(file.substr(0, kSignature));
  bool needs_all = true;
  Orientations orientations;
  for (std::string_view rest = file.substr(std::min(kSignature, file.size())); !rest.empty();) {
    const PngChunk chunk = png_chunk_at(rest);
    rest.remove_prefix(chunk.whole.size());
    if (chunk.type == "IHDR"sv && chunk.data.size() >= 13 && parts.size.width == 0) {
      parts.size = {big_endian(chunk.data.substr(4)), big_endian(chunk.data)};
      parts.interlaced = chunk.data[12] != 0;
    } else if (chunk.type == "iCCP"sv && parts.profile.empty() && chunk.intact()) {
      parts.profile = profile_of(chunk.data);
    } else {
      orientations.look_at(chunk);
    }
    // The names of chunks that a decoder may skip begin with a small letter.
    const bool ancillary = !chunk.type.empty() && (chunk.type[0] & 0x20) != 0;
    if (chunk.complete && ancillary && chunk.type != "tRNS"sv)
      needs_all = false;
    else
      essential += chunk.whole;
    if (chunk.type == "IEND"sv) break;
  }
  parts.orientation = orientations.value();
  if (!needs_all) parts.essential = std::move(essential);
  return parts;
}

std::string png_damage(std::string_view file) {
  constexpr size_t kSignature = 8;
  std::string_view rest = file.substr(std::min(kSignature, file.size()));
  if (!rest.substr(0, 8).ends_with("IHDR"sv)) return "the PNG does not begin with its header";
  while (!rest.empty()) {
    const PngChunk chunk = png_chunk_at(rest);
    rest.remove_prefix(chunk.whole.size());
    if (chunk.type.empty()) return "the PNG ends early";
    std::string name(chunk.type);
    for (char& c : name)
      if (std::isalpha(static_cast<unsigned char>(c)) == 0) c = '?';
    if (!chunk.complete) return "the PNG ends within its " + name + " chunk";
    if (!chunk.intact()) return "the checksum of the PNG's " + name + " chunk is wrong";
    if (chunk.type == "IHDR"sv && chunk.data.size() != 13)
      return "the PNG's header has a wrong size";
    if (chunk.type == "IEND"sv) return "";
  }
  return "the PNG ends before its last chunk";
}

}  // namespace ddpm
