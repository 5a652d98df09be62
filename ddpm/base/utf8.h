// UTF-8 (RFC 3629), and a way to carry any bytes in a text of it: names of files are bytes, while
// JSON holds nothing but Unicode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ddpm {

// Bytes of the character that text starts with; 0 where it starts with none (no UTF-8, or empty).
size_t utf8_character(std::string_view text);

// The code point of the character that text starts with.
uint32_t code_point(std::string_view text);

// The position of the first byte that is part of no character, or npos.
size_t find_invalid_utf8(std::string_view text);

// Valid UTF-8 that stands for these bytes. Valid text stays as it is; each byte b that is part of
// no character becomes U+EF80 + (b - 0x80), which is private use, and a character U+EF80 ... U+EFFF
// of the text itself is written as its three bytes, each in that way. So nothing is lost:
// bytes_from_utf8(utf8_from_bytes(x)) is x.
std::string utf8_from_bytes(std::string_view bytes);
std::string bytes_from_utf8(std::string_view text);

// At most so many bytes of text, never cut inside a character, with "..." where something is
// missing: for error messages.
std::string shortened(std::string_view text, size_t most = 100);

}  // namespace ddpm
