// JSON objects of one line with texts and whole numbers, as the lists of pictures have them by the
// ten thousand. Reads what JsonLineWriter wrote ten times as fast as JsonObject, and all other
// objects with it. Private to data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ddpm/base/json.h"

namespace ddpm {

class JsonLine {
 public:
  // The text must live as long as the object. Throws Error if it is not a JSON object.
  explicit JsonLine(std::string_view text);

  // Throws Error if there is no such member, or one of another type.
  std::string text(std::string_view name) const;
  int64_t number(std::string_view name) const;

 private:
  bool scan(std::string_view text);
  std::string_view member(std::string_view name) const;

  // Names and JSON texts. Empty if other_ holds them.
  std::vector<std::pair<std::string_view, std::string_view>> plain_;
  JsonObject other_;
};

class JsonLineWriter {
 public:
  JsonLineWriter& text(std::string_view key, const std::string& value);
  JsonLineWriter& number(std::string_view key, int64_t value);
  // The object with a line break.
  std::string line() const { return line_ + "}\n"; }

 private:
  void name(std::string_view name);

  std::string line_;
};

}  // namespace ddpm
