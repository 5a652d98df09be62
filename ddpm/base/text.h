// Text that comes from files and file names: how to show it safely.
#pragma once

#include <string>
#include <string_view>

namespace ddpm {

// The text on one line, safe to write to a terminal: control characters (C0, DEL, C1), line and
// paragraph separators, marks that change the direction of writing, and bytes that are not UTF-8
// appear as \n, \t, \r, \x1b or \u202e. Everything else stays as it is.
std::string printable(std::string_view text);

}  // namespace ddpm
