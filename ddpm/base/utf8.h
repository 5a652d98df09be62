// UTF-8 (RFC 3629), and a way to write any bytes as UTF-8. This is needed because names of files
// may hold any bytes, but JSON holds only Unicode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ddpm {

// The number of bytes of the first character of the text. 0 if the text is empty or does not start
// with valid UTF-8.
size_t utf8_character(std::string_view text);

// The code point of the first character of the text, which must be valid.
uint32_t code_point(std::string_view text);

// The position of the first byte that belongs to no valid character, or npos.
size_t find_invalid_utf8(std::string_view text);

// Encodes any bytes as valid UTF-8. Valid text stays as it is. Each byte b that is not part of a
// valid character becomes the character U+EF80 + (b - 0x80), which is in a private use area. If the
// text itself contains a character from U+EF80 to U+EFFF, each of its three bytes is encoded in the
// same way. Nothing is lost: bytes_from_utf8(utf8_from_bytes(x)) is x.
std::string utf8_from_bytes(std::string_view bytes);
std::string bytes_from_utf8(std::string_view text);

// Shortens a text for an error message: to at most `most` bytes, not cut inside a character, with
// "..." at the end if something was left out.
std::string shortened(std::string_view text, size_t most = 100);

}  // namespace ddpm
