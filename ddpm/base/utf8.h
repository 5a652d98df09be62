// UTF-8 (RFC 3629), and a way to write any bytes as UTF-8: names of files may hold any bytes, while
// JSON holds Unicode only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ddpm {

// The number of bytes of the first character of the text. 0 where the text is empty or does not
// start with valid UTF-8.
size_t utf8_character(std::string_view text);

// The code point of the first character of the text, which must be valid.
uint32_t code_point(std::string_view text);

// The position of the first byte that belongs to no valid character, or npos.
size_t find_invalid_utf8(std::string_view text);

// Valid UTF-8 that stands for these bytes. Valid text stays as it is. Each byte b that belongs to
// no valid character becomes the character U+EF80 + (b - 0x80), which is in a private use area.
// Where the text itself holds a character from U+EF80 to U+EFFF, each of its three bytes is written
// in the same way. Nothing is lost: bytes_from_utf8(utf8_from_bytes(x)) is x.
std::string utf8_from_bytes(std::string_view bytes);
std::string bytes_from_utf8(std::string_view text);

// The text for an error message: at most so many bytes, not cut inside a character, and ending in
// "..." where something was left out.
std::string shortened(std::string_view text, size_t most = 100);

}  // namespace ddpm
