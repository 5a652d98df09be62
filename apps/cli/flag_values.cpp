#include "apps/cli/flag_values.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

namespace ddpm::cli {
namespace {

template <class Number>
Problem read_number(std::string_view text, Number& value) {
  constexpr bool whole = !std::is_same_v<Number, double>;
  constexpr bool positive = std::is_same_v<Number, uint64_t>;
  constexpr const char* what = positive ? "a whole number of at least 0"
                               : whole  ? "a whole number"
                                        : "a number";
  Number read{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, read);
  if (result.ptr == end && result.ec == std::errc::result_out_of_range) {
    if constexpr (!whole) return "which is not a number of a size from 1e-307 to 1e308";
    using Limits = std::numeric_limits<Number>;
    return fmt::format("which is not a whole number from {} to {}", Limits::min(), Limits::max());
  }
  if (text.empty() || result.ec != std::errc() || result.ptr != end) {
    return fmt::format("which is not {}", what);
  }
  if constexpr (!whole) {
    if (!std::isfinite(read)) return "which is not a finite number";
  }
  value = read;
  return {};
}

Problem read_list(std::string_view text, std::vector<int64_t>& values) {
  std::vector<int64_t> read;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    int64_t value = 0;
    if (!read_number(text.substr(begin, end - begin), value).empty()) {
      return "which is not a list of whole numbers such as 1,2,4";
    }
    read.push_back(value);
    begin = end + 1;
  }
  values = std::move(read);
  return {};
}

}  // namespace

Problem read_text(const std::string& text, bool& value) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* yes : {"true", "yes", "on", "1"}) {
    if (lower == yes) return value = true, Problem();
  }
  for (const char* no : {"false", "no", "off", "0"}) {
    if (lower == no) return value = false, Problem();
  }
  return "which is not true or false";
}

std::string text_of(int64_t value) { return std::to_string(value); }
std::string text_of(uint64_t value) { return std::to_string(value); }
std::string text_of(double value) { return fmt::format("{}", value); }
std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(const std::string& value) { return value; }
std::string text_of(const std::vector<int64_t>& values) {
  return fmt::format("{}", fmt::join(values, ","));
}

Problem read_text(const std::string& text, int64_t& value) { return read_number(text, value); }
Problem read_text(const std::string& text, uint64_t& value) { return read_number(text, value); }
Problem read_text(const std::string& text, double& value) { return read_number(text, value); }
Problem read_text(const std::string& text, std::vector<int64_t>& value) {
  return read_list(text, value);
}
Problem read_text(const std::string& text, std::string& value) {
  value = text;
  return {};
}

}  // namespace ddpm::cli
