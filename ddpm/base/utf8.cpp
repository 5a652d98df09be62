#include "ddpm/base/utf8.h"

#include <cstdint>

namespace ddpm {
namespace {

// The range of characters that represent the bytes 0x80 to 0xFF.
constexpr uint32_t kFirstByte = 0xEF80, kLastByte = 0xEFFF;

uint32_t byte_at(std::string_view text, size_t i) { return static_cast<unsigned char>(text[i]); }

// The number of bytes of a character that starts with this byte. 0 if no character does.
size_t length_after(uint32_t lead) {
  if (lead < 0x80) return 1;
  return (lead & 0xE0) == 0xC0 ? 2 : (lead & 0xF0) == 0xE0 ? 3 : (lead & 0xF8) == 0xF0 ? 4 : 0;
}

// The code point of a character of `length` bytes. The text must have that many.
uint32_t decode(std::string_view text, size_t length) {
  uint32_t code = byte_at(text, 0);
  if (length > 1) code &= 0x7Fu >> length;
  for (size_t k = 1; k < length; ++k) code = code << 6 | (byte_at(text, k) & 0x3F);
  return code;
}

bool stands_for_byte(std::string_view text, size_t length) {
  if (length != 3) return false;
  const uint32_t code = decode(text, length);
  return code >= kFirstByte && code <= kLastByte;
}

void append_byte(uint32_t byte, std::string& text) {
  const uint32_t code = kFirstByte + (byte - 0x80);
  text += static_cast<char>(0xE0 | code >> 12);
  text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
  text += static_cast<char>(0x80 | (code & 0x3F));
}

}  // namespace

size_t utf8_character(std::string_view text) {
  if (text.empty()) return 0;
  const size_t length = length_after(byte_at(text, 0));
  if (length == 0 || length > text.size()) return 0;
  for (size_t k = 1; k < length; ++k) {
    if ((byte_at(text, k) & 0xC0) != 0x80) return 0;
  }
  const uint32_t code = decode(text, length);
  constexpr uint32_t kLowest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < kLowest[length] || code > 0x10FFFF || surrogate ? 0 : length;
}

uint32_t code_point(std::string_view text) { return decode(text, utf8_character(text)); }

size_t find_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_character(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

std::string utf8_from_bytes(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    const size_t length = utf8_character(bytes.substr(i));
    if (length > 0 && !stands_for_byte(bytes.substr(i), length)) {
      text += bytes.substr(i, length);
      i += length;
      continue;
    }
    for (const size_t end = i + (length > 0 ? length : 1); i < end; ++i) {
      append_byte(byte_at(bytes, i), text);
    }
  }
  return text;
}

std::string bytes_from_utf8(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_character(text.substr(i));
    if (stands_for_byte(text.substr(i), length)) {
      bytes += static_cast<char>(decode(text.substr(i), length) - kFirstByte + 0x80);
      i += length;
    } else {
      bytes += text.substr(i, length > 0 ? length : 1);
      i += length > 0 ? length : 1;
    }
  }
  return bytes;
}

std::string shortened(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  size_t end = 0;
  while (end < most) {
    const size_t length = utf8_character(text.substr(end));
    if (end + (length > 0 ? length : 1) > most) break;
    end += length > 0 ? length : 1;
  }
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace ddpm
