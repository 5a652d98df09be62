#include "ddpm/data/archive/entry_name.h"

#include <algorithm>
#include <vector>

namespace ddpm {
namespace {

std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (!part.empty() && part != ".") parts.push_back(part);
    begin = end + 1;
  }
  return parts;
}

}  // namespace

std::string tidy_name(std::string_view name) {
  std::string tidy;
  for (const std::string_view part : parts_of(name)) {
    if (!tidy.empty()) tidy += '/';
    tidy += part;
  }
  return name.starts_with('/') ? '/' + tidy : tidy;
}

bool stays_inside(std::string_view name) {
  if (name.empty() || name.starts_with('/')) return false;
  const std::vector<std::string_view> parts = parts_of(name);
  return std::find(parts.begin(), parts.end(), "..") == parts.end();
}

bool is_hidden(std::string_view name) {
  const std::vector<std::string_view> parts = parts_of(name);
  return std::any_of(parts.begin(), parts.end(),
                     [](std::string_view part) { return part.starts_with('.') && part != ".."; });
}

}  // namespace ddpm
