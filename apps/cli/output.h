// Everything that the program prints. Nothing here throws, and a lost output (a closed descriptor,
// a reader that has gone, a full disk, a terminal that hung up) ends nothing.
#pragma once

#include <string>
#include <string_view>

namespace ddpm::cli {

// Before anything else: a write to a pipe without a reader becomes an error instead of a signal,
// and standard descriptors that are closed lead to /dev/null. Otherwise the next file opened would
// get the number of standard error, and messages would be written into it.
void prepare_outputs() noexcept;

// To standard output and standard error, at once and unbuffered. Control characters other than
// newlines are escaped; names that may hold newlines go through printable() before.
void print(std::string_view text) noexcept;
void say(std::string_view text) noexcept;

// To standard error as it is: for what moves the cursor.
void say_raw(std::string_view text) noexcept;

// The errno of the first write to standard output that failed, or 0. A reader that has gone (`ddpm
// info x | head -1`) wanted no more, which is no failure.
int output_error() noexcept;

// A path as a word of a shell command: quoted where the shell would take it apart, with escapes
// where it holds control characters, and so that it is not taken for a flag.
std::string shell_word(std::string_view path);

// Escapes for JSON what a terminal must not see and JSON allows in its strings: DEL, C1 and marks
// that change the direction of writing.
std::string printable_json(std::string_view json);

}  // namespace ddpm::cli
