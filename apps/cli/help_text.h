// How a help text is laid out in the terminal.
#pragma once

#include <string>

namespace ddpm::cli {

// A row of the help: the words to type, then their meaning, broken into lines of the terminal's
// width.
std::string help_row(std::string left, const std::string& right);

}  // namespace ddpm::cli
