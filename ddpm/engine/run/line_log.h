// A file of lines, each a JSON object, that tells what a run has decided. Private to engine/run/.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/json.h"

namespace ddpm {

class LineLog {
 public:
  explicit LineLog(std::string path) : path_(std::move(path)) {}

  // Reads the lines of the file, if there is one. A line that is not an object, or for which `use`
  // throws Error, is left out. Returns how many were. Throws SystemError if the file cannot be
  // read.
  int64_t read(const std::function<void(const JsonObject& line)>& use) const;

  // Writes the line before it returns, unless the disk is full: then it waits in memory until there
  // is space.
  void append(const JsonObject& line);
  // Writes the lines that wait. Throws SystemError, also if the disk is full.
  void sync();

 private:
  std::string path_;
  std::string waiting_;
};

// The value of a key that a line must have. Throws Error if it has none.
template <class Value>
Value value_in(const JsonObject& line, const char* key) {
  const std::string* json = line.find(key);
  if (json == nullptr) fail("train", std::string("a line has no ") + key);
  Value value{};
  json_value::read(*json, key, value);
  return value;
}

}  // namespace ddpm
