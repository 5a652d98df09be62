// JSON objects and values without showing a JSON library.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {

// JSON text of one value, and back (throws Error naming the field where the type does not fit). A
// text may be any bytes, such as the name of a file: those that are not UTF-8 are written as
// base/utf8.h says and come back as they were. Where a text is wanted, a whole number does: 64 is
// read as "64".
namespace json_value {
std::string write(bool value);
std::string write(int64_t value);
std::string write(uint64_t value);
std::string write(double value);
std::string write(const std::string& value);
std::string write(const std::vector<int64_t>& value);
void read(std::string_view json, std::string_view field, bool& value);
void read(std::string_view json, std::string_view field, int64_t& value);
void read(std::string_view json, std::string_view field, uint64_t& value);
void read(std::string_view json, std::string_view field, double& value);
void read(std::string_view json, std::string_view field, std::string& value);
void read(std::string_view json, std::string_view field, std::vector<int64_t>& value);
}  // namespace json_value

// Longer JSON is refused.
inline constexpr size_t kMostJsonBytes = size_t{1} << 20;

// An ordered JSON object: values are JSON texts. Enough to write and read flat configurations.
class JsonObject {
 public:
  JsonObject() = default;
  // Names and JSON texts: {{"dim", "8"}, {"schedule", "\"cosine\""}}.
  JsonObject(std::initializer_list<std::pair<std::string, std::string>> members)
      : members_(members) {}
  // Throws Error where the text is no JSON object, holds a key twice, or is larger than any file
  // of ours (32 levels, 1024 keys in an object, 1 MiB). The Error names `what`, such as a path.
  static JsonObject parse(std::string_view text, std::string_view what);
  void set(std::string name, std::string json);
  // The value's JSON text, or null.
  const std::string* find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& members() const { return members_; }
  // indent < 0: one line.
  std::string dump(int indent = 2) const;

 private:
  std::vector<std::pair<std::string, std::string>> members_;
};

}  // namespace ddpm
