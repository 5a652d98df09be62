// The values of flags: from the text on the command line, and as text in the help.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddpm::cli {

// What is wrong with a value, such as "which is not a whole number". Empty if nothing is.
using Problem = std::string;

// Sets the value, unless there is a problem. Numbers must be finite and fill the whole text; a bool
// is true or false, yes or no, on or off, 1 or 0; a list is numbers separated by commas.
Problem read_text(const std::string& text, int64_t& value);
Problem read_text(const std::string& text, uint64_t& value);
Problem read_text(const std::string& text, double& value);
Problem read_text(const std::string& text, bool& value);
Problem read_text(const std::string& text, std::vector<int64_t>& value);
Problem read_text(const std::string& text, std::string& value);

std::string text_of(int64_t value);
std::string text_of(uint64_t value);
std::string text_of(double value);
std::string text_of(bool value);
std::string text_of(const std::string& value);
std::string text_of(const std::vector<int64_t>& values);

}  // namespace ddpm::cli
