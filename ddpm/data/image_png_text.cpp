// Texts in PNG files. Chunks are copied as they are, so a text changes no pixel.
#include <fmt/core.h>
#include <zlib.h>

#include <string>

#include "ddpm/base/error.h"
#include "ddpm/data/image.h"
#include "ddpm/data/image_parts.h"

namespace ddpm {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n"sv;

std::string big_endian(uint32_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

void require_png(std::string_view file) {
  if (!file.starts_with(kSignature)) fail("png", "the file is not a PNG");
}

}  // namespace

std::string with_png_text(std::string_view png, std::string_view keyword, std::string_view text) {
  require_png(png);
  const PngChunk header = png_chunk_at(png.substr(kSignature.size()));
  DDPM_CHECK(header.complete && header.type == "IHDR"sv && text.size() < size_t{1} << 30);
  // Not compressed, no language, no translated keyword.
  std::string chunk = "iTXt";
  (chunk += keyword).append(5, '\0') += text;
  const uLong sum = crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(chunk.data()),
                          static_cast<uInt>(chunk.size()));
  std::string result(png.substr(0, kSignature.size() + header.whole.size()));
  result += big_endian(static_cast<uint32_t>(chunk.size() - 4));
  result += chunk;
  result += big_endian(static_cast<uint32_t>(sum));
  return result += png.substr(kSignature.size() + header.whole.size());
}

std::optional<std::string> png_text(std::string_view png, std::string_view keyword, size_t limit) {
  require_png(png);
  const std::string start = std::string(keyword) + '\0';
  for (std::string_view rest = png.substr(kSignature.size()); !rest.empty();) {
    const PngChunk chunk = png_chunk_at(rest);
    rest.remove_prefix(chunk.whole.size());
    if (!chunk.complete || chunk.type == "IEND"sv) break;
    const bool is_text = chunk.type == "tEXt"sv || chunk.type == "zTXt"sv || chunk.type == "iTXt"sv;
    if (!is_text || !chunk.data.starts_with(start)) continue;
    if (!chunk.intact())
      fail("png", fmt::format("the checksum of the PNG's text '{}' is wrong", keyword));
    if (chunk.data.size() > limit)
      fail("png", fmt::format("the PNG's text '{}' has more than {} bytes", keyword, limit));
    std::string text = png_text_of(chunk, keyword);
    if (text.empty() || text.size() > limit) {
      fail("png",
           fmt::format("the PNG's text '{}' is damaged, or longer than {} bytes", keyword, limit));
    }
    return text;
  }
  return std::nullopt;
}

}  // namespace ddpm
