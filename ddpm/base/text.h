// Text that comes from files and file names: is it UTF-8, and how to show it safely.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ddpm {

// The position of the first byte that is not part of valid UTF-8 (RFC 3629), or npos.
size_t find_invalid_utf8(std::string_view text);

// The text on one line, safe to write to a terminal: control characters (C0, DEL, C1), line and
// paragraph separators, marks that change the direction of writing, and bytes that are not UTF-8
// appear as \n, \t, \r, \x1b or \u202e. Everything else stays as it is.
std::string printable(std::string_view text);

}  // namespace ddpm
