// Everything that the program prints. No function here throws. If an output is lost (a closed
// descriptor, a reader that has gone, a full disk, a terminal that hung up), the program goes on.
#pragma once

#include <string>
#include <string_view>

namespace ddpm::cli {

// Called first in main(). A write to a pipe without a reader becomes an error instead of a signal,
// and closed standard descriptors are opened on /dev/null. Otherwise the next opened file could get
// the number of standard error, and messages would be written into it.
void prepare_outputs() noexcept;

// Write to standard output and standard error, immediately and unbuffered. Control characters
// except newlines are escaped. Names that may contain newlines must go through printable() first.
void print(std::string_view text) noexcept;
void say(std::string_view text) noexcept;

// Writes to standard error without escapes, for text that moves the cursor.
void say_raw(std::string_view text) noexcept;

// The errno of the first failed write to standard output, or 0. A reader that has gone (`ddpm info
// x | head -1`) wanted no more text, so this does not count as a failure.
int output_error() noexcept;

// A path as a word of a shell command. It is quoted if the shell would split it, has escapes if it
// contains control characters, and cannot be mistaken for a flag.
std::string shell_word(std::string_view path);

// Writes as JSON escapes what a terminal must not get but JSON allows in its strings: DEL, C1 and
// marks that change the direction of writing.
std::string printable_json(std::string_view json);

}  // namespace ddpm::cli
