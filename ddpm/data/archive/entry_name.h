// The names of the files in an archive, and which of them are paths below it. Private to data.
#pragma once

#include <string>
#include <string_view>

namespace ddpm {

// Without parts that are empty or ".", as a folder would show it. A "/" at the start and ".." stay.
std::string tidy_name(std::string_view name);

// Whether a tidy name is a path below the archive that a file could have.
bool stays_inside(std::string_view name);

// Whether a part of a tidy name begins with '.'.
bool is_hidden(std::string_view name);

}  // namespace ddpm
