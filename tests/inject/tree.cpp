#include "tests/inject/tree.h"

#include <fmt/core.h>

#include <filesystem>
#include <regex>

#include "ddpm/base/file.h"

namespace ddpm::test {

Tree read_tree(const std::string& folder) {
  namespace fs = std::filesystem;
  static const std::regex speed(R"("images_per_s":[-+.e0-9]+)");
  Tree tree;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (entry.is_directory()) {
      tree[name + "/"] = "";
      continue;
    }
    std::string contents = read_file(entry.path().string());
    if (entry.path().filename() == "metrics.jsonl")
      contents = std::regex_replace(contents, speed, "\"images_per_s\":0");
    tree[name] = std::move(contents);
  }
  return tree;
}

std::string difference(const Tree& expected, const Tree& found) {
  std::string text;
  const auto add = [&](const char* what, const std::string& name) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", what, name);
  };
  for (const auto& [name, contents] : expected) {
    const auto other = found.find(name);
    if (other == found.end())
      add("lacks", name);
    else if (other->second != contents)
      add("differs in", name);
  }
  for (const auto& [name, contents] : found) {
    if (!expected.contains(name)) add("has", name);
  }
  return text;
}

}  // namespace ddpm::test
