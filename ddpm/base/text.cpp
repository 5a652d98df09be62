#include "ddpm/base/text.h"

#include <fmt/core.h>

#include <cstdint>

namespace ddpm {
namespace {

struct Character {
  uint32_t code = 0;
  size_t length = 0;  // bytes; 0 where the text is not UTF-8
};

// The character at the start of a text that is not empty.
Character decode(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t { return static_cast<unsigned char>(text[i]); };
  const uint32_t lead = byte(0);
  const size_t length = lead < 0x80             ? 1
                        : (lead & 0xE0) == 0xC0 ? 2
                        : (lead & 0xF0) == 0xE0 ? 3
                        : (lead & 0xF8) == 0xF0 ? 4
                                                : 0;
  if (length == 0 || length > text.size()) return {};
  uint32_t code = length == 1 ? lead : lead & (0x7Fu >> length);
  for (size_t k = 1; k < length; ++k) {
    if ((byte(k) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(k) & 0x3F);
  }
  constexpr uint32_t kShortest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kShortest[length] || code > 0x10FFFF || surrogate) return {};
  return {code, length};
}

bool is_harmful(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) ||       // C0, DEL, C1
         code == 0x061C || code == 0x200E || code == 0x200F ||  // direction marks
         (code >= 0x2028 && code <= 0x202E) ||                  // separators, embeddings, overrides
         (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;  // isolates, byte order mark
}

std::string escape(uint32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  return code < 0x80 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
}

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = decode(text.substr(i)).length;
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Character character = decode(text.substr(i));
    if (character.length == 0) {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
      ++i;
      continue;
    }
    if (is_harmful(character.code)) {
      shown += escape(character.code);
    } else {
      shown += text.substr(i, character.length);
    }
    i += character.length;
  }
  return shown;
}

}  // namespace ddpm
