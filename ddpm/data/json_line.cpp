#include "ddpm/data/json_line.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

constexpr size_t kMostPlain = 16;

// Such characters stand for themselves in a JSON string.
bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return is_plain(c); });
}

// The text in quotes at the start of `rest`, without them, which is removed. Null data if there is
// none that is_plain().
std::string_view take_plain_text(std::string_view& rest) {
  if (!rest.starts_with('"')) return {};
  const size_t end = rest.find('"', 1);
  if (end == std::string_view::npos) return {};
  const std::string_view text = rest.substr(1, end - 1);
  if (!is_plain(text)) return {};
  rest.remove_prefix(end + 1);
  return text;
}

}  // namespace

JsonLine::JsonLine(std::string_view text) {
  if (scan(text)) return;
  plain_.clear();
  other_ = JsonObject::parse(text, "the line");
}

bool JsonLine::scan(std::string_view text) {
  if (!text.starts_with('{') || !text.ends_with('}')) return false;
  text = text.substr(1, text.size() - 2);
  while (true) {
    const std::string_view name = take_plain_text(text);
    if (name.data() == nullptr || !text.starts_with(':')) return false;
    text.remove_prefix(1);
    const char* begin = text.data();
    if (text.starts_with('"')) {
      if (take_plain_text(text).data() == nullptr) return false;
    } else {
      int64_t value = 0;
      const auto [end, error] = std::from_chars(begin, begin + text.size(), value);
      const std::string_view digits(begin, static_cast<size_t>(end - begin));
      // JSON has no other zeros at the start of a number.
      const bool zero = digits == "0" || (!digits.starts_with('0') && !digits.starts_with("-0"));
      if (error != std::errc() || !zero) return false;
      text.remove_prefix(digits.size());
    }
    const auto has_name = [&](const auto& member) { return member.first == name; };
    if (plain_.size() == kMostPlain || std::any_of(plain_.begin(), plain_.end(), has_name))
      return false;
    plain_.emplace_back(name, std::string_view(begin, static_cast<size_t>(text.data() - begin)));
    if (text.empty()) return true;
    if (!text.starts_with(',')) return false;
    text.remove_prefix(1);
  }
}

std::string_view JsonLine::member(std::string_view name) const {
  for (const auto& [known, json] : plain_)
    if (known == name) return json;
  const std::string* json = other_.find(name);
  if (json == nullptr) fail("data", fmt::format("{} is missing", name));
  return *json;
}

std::string JsonLine::text(std::string_view name) const {
  const std::string_view json = member(name);
  if (!plain_.empty() && json.starts_with('"')) return std::string(json.substr(1, json.size() - 2));
  std::string value;
  json_value::read(json, name, value);
  return value;
}

int64_t JsonLine::number(std::string_view name) const {
  const std::string_view json = member(name);
  int64_t value = 0;
  if (plain_.empty() || json.starts_with('"'))
    json_value::read(json, name, value);
  else
    std::from_chars(json.data(), json.data() + json.size(), value);
  return value;
}

void JsonLineWriter::name(std::string_view name) {
  line_ += line_.empty() ? "{\"" : ",\"";
  line_ += name;
  line_ += "\":";
}

JsonLineWriter& JsonLineWriter::text(std::string_view key, const std::string& value) {
  name(key);
  line_ += is_plain(value) ? '"' + value + '"' : json_value::write(value);
  return *this;
}

JsonLineWriter& JsonLineWriter::number(std::string_view key, int64_t value) {
  name(key);
  line_ += std::to_string(value);
  return *this;
}

}  // namespace ddpm
