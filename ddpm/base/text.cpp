#include "ddpm/base/text.h"

#include <fmt/core.h>

#include <cstdint>

#include "ddpm/base/utf8.h"

namespace ddpm {
namespace {

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

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_character(text.substr(i));
    if (length == 0) {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
      ++i;
      continue;
    }
    const uint32_t code = code_point(text.substr(i));
    if (is_harmful(code)) {
      shown += escape(code);
    } else {
      shown += text.substr(i, length);
    }
    i += length;
  }
  return shown;
}

}  // namespace ddpm
