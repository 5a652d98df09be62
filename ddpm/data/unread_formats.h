// Picture formats that are recognised but cannot be read. The report of a folder names them, so
// that they are not silently skipped. Private to this room.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ddpm {

// How many first bytes of a file tell what it is.
inline constexpr size_t kBytesThatTell = 1024;

// The format of a file with this name and these first bytes: "JPEG XL", "a camera's raw file", ...
// Null where it is no picture, or one that decode_image() reads.
const char* unread_format(std::string_view name, std::string_view first_bytes);

// The end of a name or path from its last dot on, in small letters. Empty where there is no dot.
std::string extension_of(std::string_view name);

}  // namespace ddpm
