// How to show text that comes from files and file names.
#pragma once

#include <string>
#include <string_view>

namespace ddpm {

// Returns the text on one line, safe to write to a terminal. Escapes such as \n, \x1b or \u202e
// replace control characters (C0, DEL, C1), line and paragraph separators, marks that change the
// direction of writing, and bytes that are not UTF-8. Everything else stays as it is.
std::string printable(std::string_view text);

}  // namespace ddpm
