// Kinds of pictures that are known but not read, so that a folder's report can name them instead of
// passing them over. Not for other rooms.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ddpm {

// How many first bytes of a file tell what it is.
inline constexpr size_t kBytesThatTell = 1024;

// "JPEG XL", "a camera's raw file", ...: what the file with this name and these first bytes is;
// null where it is no picture, or one that decode_image() takes.
const char* unread_format(std::string_view name, std::string_view first_bytes);

// The end of a name or path from its last dot on, in small letters; empty where there is none.
std::string extension_of(std::string_view name);

}  // namespace ddpm
