#include "ddpm/base/duration.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"

namespace ddpm {
namespace {

struct Unit {
  char name;
  const char* plural;
  double seconds;
};
constexpr Unit kUnits[] = {
    {'d', "days", 86400}, {'h', "hours", 3600}, {'m', "minutes", 60}, {'s', "seconds", 1}};
constexpr double kMostSeconds = 10000 * 86400.0;

constexpr bool is_digit_or_dot(char c) { return (c >= '0' && c <= '9') || c == '.'; }

// Takes a number without sign and exponent from the start of the text.
std::optional<double> take_number(std::string_view& text) {
  const char* const end = std::find_if_not(text.data(), text.data() + text.size(), is_digit_or_dot);
  double value = 0;
  const auto [after, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || after != end) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

// Nothing if the text is not a length of time.
std::optional<double> seconds_of(std::string_view text) {
  double seconds = 0;
  const Unit* next = std::begin(kUnits);
  while (!text.empty()) {
    const std::optional<double> number = take_number(text);
    if (!number || text.empty()) return std::nullopt;
    const Unit* const unit = std::find_if(
        next, std::end(kUnits), [&](const Unit& each) { return each.name == text.front(); });
    if (unit == std::end(kUnits)) return std::nullopt;
    seconds += *number * unit->seconds;
    next = unit + 1;
    text.remove_prefix(1);
  }
  return seconds;
}

bool is_bare_number(std::string_view text) {
  return !text.empty() && take_number(text) && text.empty();
}

bool is_in_range(double seconds) { return seconds > 0 && seconds <= kMostSeconds; }

// "10s for seconds, 10m for minutes or 10h for hours": the units that make a length of time of this
// number. Empty if none does.
std::string possible_units(std::string_view number) {
  std::string_view rest = number;
  const double value = take_number(rest).value_or(0);
  std::vector<std::string> choices;
  for (const Unit& unit : kUnits) {
    if (!is_in_range(value * unit.seconds)) continue;
    choices.insert(choices.begin(), fmt::format("{}{} for {}", number, unit.name, unit.plural));
  }
  return join_choices(choices);
}

[[noreturn]] void fail_out_of_range(std::string_view text, std::string_view where,
                                    std::string_view name) {
  fail_usage(where, fmt::format("{} is {}, but must be more than 0 and at most {}, such as 90s, "
                                "10m, 8h or 2d",
                                name, text, duration_text(kMostSeconds)));
}

}  // namespace

double parse_duration(std::string_view text, std::string_view where, std::string_view name) {
  if (is_bare_number(text)) {
    if (const std::string units = possible_units(text); !units.empty()) {
      fail_usage(where,
                 fmt::format("{} is {}, a number without a unit; write {}", name, text, units));
    }
    fail_out_of_range(text, where, name);
  }
  const std::optional<double> seconds = text.empty() ? std::nullopt : seconds_of(text);
  if (!seconds) {
    fail_usage(where,
               fmt::format("{} is \"{}\", but must be a length of time such as 90s, 10m, 8h, "
                           "2d or 1h30m; its units are d, h, m and s",
                           name, text));
  }
  if (!is_in_range(*seconds)) fail_out_of_range(text, where, name);
  return *seconds;
}

std::string duration_text(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.3g}s", std::round(std::max(seconds, 0.0) * 10) / 10);
  int64_t left = std::llround(std::min(seconds, kMostSeconds));
  std::string text;
  for (const Unit& unit : kUnits) {
    const auto each = static_cast<int64_t>(unit.seconds);
    if (left >= each) text += fmt::format("{}{}", left / each, unit.name);
    left %= each;
  }
  return text;
}

}  // namespace ddpm
