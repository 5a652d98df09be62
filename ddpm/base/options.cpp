#include "ddpm/base/options.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace ddpm {

using Json = nlohmann::ordered_json;

std::string join_choices(const std::vector<std::string>& choices) {
  std::string text;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) text += i + 1 == choices.size() ? " or " : ", ";
    text += choices[i];
  }
  return text;
}

namespace json_value {
namespace {

template <class T>
void read_as(std::string_view text, std::string_view field, const char* expected, T& value) {
  try {
    const Json json = Json::parse(text);
    bool fits = false;
    if constexpr (std::is_same_v<T, bool>) {
      fits = json.is_boolean();
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      fits = json.is_number_unsigned();
    } else if constexpr (std::is_same_v<T, int64_t>) {
      fits = json.is_number_integer();
    } else if constexpr (std::is_same_v<T, double>) {
      fits = json.is_number();
    } else if constexpr (std::is_same_v<T, std::string>) {
      fits = json.is_string();
    } else {
      fits = json.is_array();
      for (const Json& element : json) fits = fits && element.is_number_integer();
    }
    if (fits) {
      value = json.get<T>();
      return;
    }
  } catch (const Json::exception&) {
  }
  fail("options", fmt::format("{} is {}, which is not {}", field, text, expected));
}

}  // namespace

std::string write(bool value) { return Json(value).dump(); }
std::string write(int64_t value) { return Json(value).dump(); }
std::string write(uint64_t value) { return Json(value).dump(); }
std::string write(double value) { return Json(value).dump(); }
std::string write(const std::string& value) {
  return Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}
std::string write(const std::vector<int64_t>& value) { return Json(value).dump(); }
void read(std::string_view json, std::string_view field, bool& value) {
  read_as(json, field, "true or false", value);
}
void read(std::string_view json, std::string_view field, int64_t& value) {
  read_as(json, field, "a whole number", value);
}
void read(std::string_view json, std::string_view field, uint64_t& value) {
  read_as(json, field, "a whole number of at least 0", value);
}
void read(std::string_view json, std::string_view field, double& value) {
  read_as(json, field, "a number", value);
}
void read(std::string_view json, std::string_view field, std::string& value) {
  read_as(json, field, "a text in quotes", value);
}
void read(std::string_view json, std::string_view field, std::vector<int64_t>& value) {
  read_as(json, field, "a list of whole numbers such as [1, 2, 4]", value);
}

}  // namespace json_value

JsonObject JsonObject::parse(std::string_view text, std::string_view what) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    fail("json", fmt::format("{} is not valid JSON: {}", what, error.what()));
  }
  if (!json.is_object()) fail("json", fmt::format("{} does not hold a JSON object {{...}}", what));
  JsonObject object;
  for (const auto& [name, value] : json.items()) object.set(name, value.dump());
  return object;
}

void JsonObject::set(std::string name, std::string json) {
  for (auto& member : members_) {
    if (member.first == name) {
      member.second = std::move(json);
      return;
    }
  }
  members_.emplace_back(std::move(name), std::move(json));
}

const std::string* JsonObject::find(std::string_view name) const {
  for (const auto& member : members_) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

std::string JsonObject::dump(int indent) const {
  Json json = Json::object();
  for (const auto& [name, value] : members_) json[name] = Json::parse(value);
  return json.dump(indent);
}

}  // namespace ddpm
