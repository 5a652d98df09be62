#include "ddpm/base/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/utf8.h"

namespace ddpm {
namespace {

// Writes the bounds of ranges, which are whole numbers or have few digits.
std::string number_text(double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e18) {
    return std::to_string(static_cast<int64_t>(value));
  }
  return fmt::format("{}", value);
}

}  // namespace

std::string join_choices(const std::vector<std::string>& choices) {
  std::string text;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) text += i + 1 == choices.size() ? " or " : ", ";
    text += choices[i];
  }
  return text;
}

std::string flag_name(std::string field) {
  std::replace(field.begin(), field.end(), '_', '-');
  return field;
}

Field& Field::range(double lowest, double highest) {
  low_ = lowest;
  high_ = highest;
  return *this;
}

Field& Field::at_least(double lowest) {
  low_ = lowest;
  return *this;
}

Field& Field::range_below(double lowest, double high) {
  below_high_ = true;
  return range(lowest, high);
}

Field& Field::above(double low, double highest) {
  above_low_ = true;
  return range(low, highest);
}

Field& Field::between(double low, double high) {
  below_high_ = true;
  return above(low, high);
}

Field& Field::elements(int64_t least, int64_t most) {
  least_elements_ = least;
  most_elements_ = most;
  return *this;
}

Field& Field::choices(std::string noun, std::vector<std::string> choices) {
  noun_ = std::move(noun);
  choices_ = std::move(choices);
  return *this;
}

Field& Field::no_choice(std::string text, std::string why) {
  no_choice_ = std::move(text);
  why_none_ = std::move(why);
  return *this;
}

Field& Field::advice(std::string text) {
  advice_ = std::move(text);
  return *this;
}

Field& Field::may_change() {
  changeable_ = true;
  return *this;
}

Field& Field::selects() {
  selects_ = true;
  return *this;
}

Field& Field::not_in_state_dict() {
  in_state_dict_ = false;
  return *this;
}

Field& Field::alias(std::string name) {
  aliases_.push_back(std::move(name));
  return *this;
}

Field& Field::value_name(std::string name) {
  value_name_ = std::move(name);
  return *this;
}

Field& Field::default_text(std::string text) {
  default_text_ = std::move(text);
  return *this;
}

bool Field::is_called(std::string_view name) const {
  return name == name_ || std::find(aliases_.begin(), aliases_.end(), name) != aliases_.end();
}

bool Field::contains(double value) const {
  if (!std::isfinite(value)) return false;
  if (low_ && (above_low_ ? value <= *low_ : value < *low_)) return false;
  return !(high_ && (below_high_ ? value >= *high_ : value > *high_));
}

std::string Field::range_text() const {
  if (!low_ && !high_) return "";
  if (!high_) return fmt::format("be at least {}", number_text(*low_));
  const std::string low = number_text(*low_), high = number_text(*high_);
  if (!above_low_ && !below_high_) return fmt::format("lie between {} and {}", low, high);
  return fmt::format("{} {} and {} {}", above_low_ ? "be above" : "be at least", low,
                     below_high_ ? "below" : "at most", high);
}

std::string Field::json() const {
  return std::visit([](const auto* value) { return json_value::write(*value); }, value_);
}

void Field::read(std::string_view json) const {
  std::visit([&](auto* value) { json_value::read(json, name_, *value); }, value_);
}

void Field::check(const std::string& where, const std::string& before) const {
  const std::string name = before + flag_name(name_), end = advice_.empty() ? "" : "; " + advice_;
  const auto check_number = [&](const char* which, auto number) {
    if (contains(static_cast<double>(number))) return;
    const std::string range = range_text();
    fail_usage(where, fmt::format("{}{} is {} but must {}{}", which, name, number,
                                  range.empty() ? "be finite" : range, end));
  };
  const auto check_value = [&](const auto& value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      const auto count = static_cast<int64_t>(value.size());
      if (least_elements_ && (count < *least_elements_ || count > *most_elements_)) {
        fail_usage(where, fmt::format("{} has {} elements but must have {} to {}{}", name, count,
                                      *least_elements_, *most_elements_, end));
      }
      for (const int64_t element : value) check_number("an element of ", element);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (choices_.empty() || std::find(choices_.begin(), choices_.end(), value) != choices_.end())
        return;
      const std::string why = value == no_choice_ ? fmt::format(" ({})", why_none_) : "";
      fail_usage(where, fmt::format("there is no {} '{}'{}; choose {}", noun_, shortened(value),
                                    why, join_choices(choices_)));
    } else if constexpr (!std::is_same_v<T, bool>) {
      check_number("", value);
    }
  };
  std::visit([&](const auto* value) { check_value(*value); }, value_);
}

Field& Fields::operator()(std::string name, Field::Value value, std::string help) {
  fields_.emplace_back(std::move(name), value, std::move(help));
  fields_.back().group_ = group_;
  return fields_.back();
}

const Field* Fields::find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (field.is_called(name)) return &field;
  }
  return nullptr;
}

void write_fields(const Fields& fields, JsonObject& object) {
  for (const Field& field : fields) object.set(field.name(), field.json());
}

bool read_fields(const JsonObject& object, const Fields& fields) {
  for (const Field& field : fields) {
    const std::string* json = object.find(field.name());
    for (const std::string& alias : field.aliases()) {
      const std::string* other = object.find(alias);
      if (other == nullptr) continue;
      if (json != nullptr) {
        fail("options", fmt::format("{} and {} are the same option; leave {} out", field.name(),
                                    alias, alias));
      }
      json = other;
    }
    if (json == nullptr) continue;
    const std::string before = field.json();
    field.read(*json);
    if (field.is_selector() && field.json() != before) {
      field.check("options");
      return false;
    }
  }
  return true;
}

void check_fields(const std::string& where, const Fields& fields, const std::string& before) {
  for (const Field& field : fields) field.check(where, before);
}

std::string fields_table(const Fields& fields) {
  std::string table = "| key | default | meaning |\n| --- | --- | --- |\n";
  for (const Field& field : fields) {
    std::string meaning = field.help();
    if (!field.choices().empty()) meaning += ": " + join_choices(field.choices());
    const std::string value = field.json();
    table += fmt::format("| `{}` | {} | {} |\n", field.name(),
                         value == "\"\"" ? "" : fmt::format("`{}`", value), meaning);
  }
  return table;
}

}  // namespace ddpm
