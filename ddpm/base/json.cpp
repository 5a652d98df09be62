#include "ddpm/base/json.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "ddpm/base/utf8.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

// Texts of this program stay far below these limits. The limits protect against hostile texts. Many
// levels would use up the stack, because trees are freed and written recursively. Many keys would
// take long, because keys are searched one after the other.
constexpr size_t kMostLevels = 32;
// The limit for one object.
constexpr size_t kMostKeys = 1024;

// Reads a text without building a tree. Refuses texts that are too large for a tree, and errors
// that a tree would hide, such as a key that appears twice.
class Inspector : public nlohmann::json_sax<Json> {
 public:
  Inspector(std::string_view text, std::string_view what) : text_(text), what_(what) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }
  bool start_object(size_t) override { return enter(); }
  bool start_array(size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }

  // Refused because a tree would silently keep only one of the two.
  bool key(std::string& name) override {
    if (!keys_.back().insert(name).second) {
      refuse(fmt::format("holds the key \"{}\" twice", shortened(name)));
    }
    if (keys_.back().size() > kMostKeys) {
      refuse(fmt::format("holds an object of more than {} keys", kMostKeys));
    }
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    const std::string_view before = text_.substr(0, position > 0 ? position - 1 : 0);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    // The library's message without its own prefix.
    std::string_view reason = error.what();
    if (const size_t at = reason.find(": "); at != std::string_view::npos) {
      reason.remove_prefix(at + 2);
    }
    refuse(fmt::format("is not valid JSON in line {}, byte {} of the whole: {}", line, position,
                       shortened(reason, 150)));
  }

  [[noreturn]] void refuse(const std::string& how) const {
    fail("json", fmt::format("{} {}", what_, how));
  }

 private:
  bool enter() {
    if (keys_.size() == kMostLevels) {
      refuse(fmt::format("nests more than {} levels deep", kMostLevels));
    }
    keys_.emplace_back();
    return true;
  }
  bool leave() {
    keys_.pop_back();
    return true;
  }

  std::string_view text_, what_;
  // For each open object, the keys seen so far.
  std::vector<std::set<std::string>> keys_;
};

// The one place where JSON is read into a tree. Throws Error naming `what`.
Json parse_json(std::string_view text, std::string_view what) {
  Inspector inspector(text, what);
  if (text.size() > kMostJsonBytes) {
    inspector.refuse(
        fmt::format("has {} bytes of JSON; at most {} are read", text.size(), kMostJsonBytes));
  }
  // The library stops at a NUL and would ignore what follows it.
  if (const size_t at = text.find('\0'); at != std::string_view::npos) {
    inspector.refuse(fmt::format("is not valid JSON: byte {} is NUL", at));
  }
  Json::sax_parse(text, &inspector);
  return Json::parse(text);
}

}  // namespace

namespace json_value {
namespace {

bool fits_int64(const Json& json) {
  if (json.is_number_unsigned()) {
    return json.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()};
  }
  return json.is_number_integer();
}

bool convert(const Json& json, bool& value) {
  if (!json.is_boolean()) return false;
  value = json.get<bool>();
  return true;
}

bool convert(const Json& json, int64_t& value) {
  if (!fits_int64(json)) return false;
  value = json.get<int64_t>();
  return true;
}

bool convert(const Json& json, uint64_t& value) {
  if (!json.is_number_unsigned()) return false;
  value = json.get<uint64_t>();
  return true;
}

bool convert(const Json& json, double& value) {
  if (!json.is_number()) return false;
  value = json.get<double>();
  return true;
}

bool convert(const Json& json, std::string& value) {
  // "size": 64 means the same as "size": "64".
  if (json.is_number_integer()) {
    value = json.dump();
    return true;
  }
  if (!json.is_string()) return false;
  std::string bytes = bytes_from_utf8(json.get_ref<const std::string&>());
  // A NUL would end a path too early.
  if (bytes.find('\0') != std::string::npos) return false;
  value = std::move(bytes);
  return true;
}

bool convert(const Json& json, std::vector<int64_t>& value) {
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), fits_int64)) return false;
  value = json.get<std::vector<int64_t>>();
  return true;
}

bool convert(const Json& json, std::vector<double>& value) {
  if (!json.is_array()) return false;
  value.resize(json.size());
  return std::equal(json.begin(), json.end(), value.begin(),
                    [](const Json& from, double& to) { return convert(from, to); });
}

bool convert(const Json& json, std::vector<std::string>& value) {
  if (!json.is_array()) return false;
  value.resize(json.size());
  return std::equal(json.begin(), json.end(), value.begin(),
                    [](const Json& from, std::string& to) { return convert(from, to); });
}

template <class T>
void read_as(std::string_view text, std::string_view field, const char* expected, T& value) {
  if (convert(parse_json(text, field), value)) return;
  fail("options", fmt::format("{} is {}, which is not {}", field, shortened(text), expected));
}

}  // namespace

std::string write(bool value) { return Json(value).dump(); }
std::string write(int64_t value) { return Json(value).dump(); }
std::string write(uint64_t value) { return Json(value).dump(); }
std::string write(double value) { return Json(value).dump(); }
std::string write(const std::string& value) { return Json(utf8_from_bytes(value)).dump(); }
std::string write(const std::vector<int64_t>& value) { return Json(value).dump(); }
std::string write(const std::vector<double>& value) { return Json(value).dump(); }
std::string write(const std::vector<std::string>& value) {
  Json json = Json::array();
  for (const std::string& text : value) json.push_back(utf8_from_bytes(text));
  return json.dump();
}
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
  read_as(json, field, "a text in quotes without NUL", value);
}
void read(std::string_view json, std::string_view field, std::vector<int64_t>& value) {
  read_as(json, field, "a list of whole numbers such as [1, 2, 4]", value);
}
void read(std::string_view json, std::string_view field, std::vector<double>& value) {
  read_as(json, field, "a list of numbers", value);
}
void read(std::string_view json, std::string_view field, std::vector<std::string>& value) {
  read_as(json, field, "a list of texts without NUL", value);
}

}  // namespace json_value

JsonObject JsonObject::parse(std::string_view text, std::string_view what) {
  const Json json = parse_json(text, what);
  if (!json.is_object()) fail("json", fmt::format("{} does not hold a JSON object {{...}}", what));
  JsonObject object;
  for (const auto& [name, value] : json.items()) object.members_.emplace_back(name, value.dump());
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
  for (const auto& [name, value] : members_) json[name] = parse_json(value, name);
  return json.dump(indent);
}

}  // namespace ddpm
