// Picture formats that are recognised but cannot be read. The report of a folder names them, so
// that they are not skipped silently. Private to data.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ddpm {

// The number of first bytes that are enough to recognise a format.
inline constexpr size_t kBytesThatTell = 1024;

// The format of a file with this name and these first bytes: "JPEG XL", "a camera's raw file", ...
// Null if it is not a picture, or is one that decode_image() reads.
const char* unread_format(std::string_view name, std::string_view first_bytes);

// The end of a name or path, from its last dot, in small letters. Empty if there is no dot.
std::string extension_of(std::string_view name);

}  // namespace ddpm
