// JSON objects and values. The JSON library stays hidden in json.cpp.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {

// write() returns the JSON text of one value. read() turns it back into the value, and throws Error
// naming the field if the type does not fit. A string may hold any bytes, such as the name of a
// file: write() encodes bytes that are not UTF-8 as base/utf8.h describes, and read() restores
// them. A string field also accepts a whole number: 64 is read as "64".
namespace json_value {
std::string write(bool value);
std::string write(int64_t value);
std::string write(uint64_t value);
std::string write(double value);
std::string write(const std::string& value);
std::string write(const std::vector<int64_t>& value);
std::string write(const std::vector<double>& value);
std::string write(const std::vector<std::string>& value);
void read(std::string_view json, std::string_view field, bool& value);
void read(std::string_view json, std::string_view field, int64_t& value);
void read(std::string_view json, std::string_view field, uint64_t& value);
void read(std::string_view json, std::string_view field, double& value);
void read(std::string_view json, std::string_view field, std::string& value);
void read(std::string_view json, std::string_view field, std::vector<int64_t>& value);
void read(std::string_view json, std::string_view field, std::vector<double>& value);
void read(std::string_view json, std::string_view field, std::vector<std::string>& value);
}  // namespace json_value

// Longer JSON texts are refused.
inline constexpr size_t kMostJsonBytes = size_t{1} << 20;

// A JSON object that keeps the order of its keys. Its values are JSON texts. This is enough to
// read and write flat configurations.
class JsonObject {
 public:
  JsonObject() = default;
  // Names and JSON texts: {{"dim", "8"}, {"schedule", "\"cosine\""}}.
  JsonObject(std::initializer_list<std::pair<std::string, std::string>> members)
      : members_(members) {}
  // Throws Error if the text is not a JSON object, contains a key twice, or exceeds the limits: 32
  // levels, 1024 keys in an object, 1 MiB. `what`, such as a path, names the text in the Error.
  static JsonObject parse(std::string_view text, std::string_view what);
  void set(std::string name, std::string json);
  // The value's JSON text, or null.
  const std::string* find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& members() const { return members_; }
  // With indent < 0 everything is on one line.
  std::string dump(int indent = 2) const;

 private:
  std::vector<std::pair<std::string, std::string>> members_;
};

}  // namespace ddpm
