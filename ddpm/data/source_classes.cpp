#include "ddpm/data/source_classes.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/text.h"
#include "ddpm/data/label_table.h"

namespace ddpm {
namespace {

constexpr int64_t kNamed = 3;

bool is_number(std::string_view name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

// "2" before "10", and both before "cat".
bool comes_before(const std::string& a, const std::string& b) {
  if (is_number(a) != is_number(b)) return is_number(a);
  if (!is_number(a)) return a < b;
  const auto digits = [](std::string_view text) {
    return text.substr(std::min(text.find_first_not_of('0'), text.size() - 1));
  };
  const std::string_view x = digits(a), y = digits(b);
  if (x.size() != y.size()) return x.size() < y.size();
  return x != y ? x < y : a < b;
}

std::vector<std::string> distinct(const std::vector<std::string>& names) {
  std::set<std::string> found(names.begin(), names.end());
  found.erase("");
  std::vector<std::string> sorted(found.begin(), found.end());
  std::sort(sorted.begin(), sorted.end(), comes_before);
  return sorted;
}

// A heading names columns. It is not a file of the source and does not look like a file name.
bool is_heading(const LabelRow& row, bool is_there) {
  return !is_there && row.file.find_first_of("./") == std::string::npos;
}

// The only file with this name anywhere in the folder. Empty if there is none or more than one.
std::string same_name(const PictureList& folder, const std::string& file) {
  std::string found;
  for (int64_t i = 0; i < folder.count; ++i) {
    const std::string path = folder.path_of(i);
    if (base_name(path) != base_name(file)) continue;
    if (!found.empty()) return "";
    found = path.substr(join_path(folder.name, "x").size() - 1);
  }
  return found;
}

// unknown: the first of `count` rows.
[[noreturn]] void fail_unknown_files(const PictureList& folder, const std::string& table,
                                     const std::vector<const LabelRow*>& unknown, int64_t count) {
  std::string text = fmt::format("{} names {} that {} of {}: ", table,
                                 count == 1 ? "a file" : fmt::format("{} files", count),
                                 count == 1 ? "is no picture" : "are no pictures", folder.name);
  for (size_t i = 0; i < unknown.size(); ++i) {
    text += fmt::format("{}{} (line {})", i > 0 ? ", " : "", printable(unknown[i]->file),
                        unknown[i]->line);
  }
  if (count > static_cast<int64_t>(unknown.size())) text += ", ...";
  const std::string near = same_name(folder, unknown[0]->file);
  const std::string some = folder.path_of(0).substr(join_path(folder.name, "x").size() - 1);
  text += near.empty() ? fmt::format("; files are named from there on, as in {}", printable(some))
                       : fmt::format("; did you mean {}?", printable(near));
  fail_usage("labels", text);
}

}  // namespace

std::vector<std::string> classes_of(const PictureList& list) {
  if (!list.classes) fail_usage("classes", fmt::format("{} has no classes", list.name));
  std::vector<std::string> names = list.classes();
  DDPM_CHECK(static_cast<int64_t>(names.size()) == list.count);
  return names;
}

std::vector<std::string> usable_classes_of(const PictureList& list) {
  constexpr int64_t kMostClasses = 1000, kPicturesOfEach = 8;
  if (!list.classes) return {};
  std::vector<std::string> names;
  try {
    names = list.classes();
  } catch (const UsageError&) {
    // Such as MNIST's images without a file of labels beside them.
    return {};
  }
  const auto classes = static_cast<int64_t>(distinct(names).size());
  const int64_t without = std::count(names.begin(), names.end(), "");
  const bool usable = classes >= 2 && classes <= kMostClasses &&
                      list.count >= kPicturesOfEach * classes && 10 * without <= list.count;
  return usable ? names : std::vector<std::string>{};
}

std::vector<std::string> classes_of(const PictureList& folder, const std::string& table_path) {
  constexpr uint64_t kMostBytes = uint64_t{1} << 26;
  const std::vector<LabelRow> rows =
      parse_label_table(read_file(table_path, kMostBytes), table_path);
  std::unordered_map<std::string, int64_t> picture;
  for (int64_t i = 0; i < folder.count; ++i) picture.emplace(folder.path_of(i), i);
  // Files that are there but cannot be read as pictures.
  std::unordered_set<std::string> skipped;
  for (const SkippedFile& file : folder.skipped) skipped.insert(file.path);

  std::vector<std::string> names(static_cast<size_t>(folder.count));
  std::unordered_map<int64_t, const LabelRow*> row_of;
  std::vector<const LabelRow*> unknown;
  int64_t unknown_count = 0;
  for (const LabelRow& row : rows) {
    const std::string_view file = row.file;
    const std::string path = join_path(folder.name, file.substr(file.starts_with("./") ? 2 : 0));
    const auto found = picture.find(path);
    if (found == picture.end()) {
      const bool is_there = skipped.contains(path);
      const bool heading = &row == rows.data() && is_heading(row, is_there);
      if (!is_there && !heading && ++unknown_count <= kNamed) unknown.push_back(&row);
      continue;
    }
    const auto [earlier, is_new] = row_of.emplace(found->second, &row);
    if (!is_new && earlier->second->name != row.name) {
      fail_usage("labels",
                 fmt::format("{} gives {} two classes: '{}' in line {} and '{}' in line {}",
                             table_path, printable(row.file), printable(earlier->second->name),
                             earlier->second->line, printable(row.name), row.line));
    }
    names[static_cast<size_t>(found->second)] = row.name;
  }
  if (!unknown.empty()) fail_unknown_files(folder, table_path, unknown, unknown_count);
  if (distinct(names).empty()) {
    fail_usage("labels", fmt::format("{} gives no picture of {} a class; its lines are FILE,CLASS, "
                                     "such as a.png,cat",
                                     table_path, folder.name));
  }
  return names;
}

ClassLabels number_classes(const std::vector<std::string>& names) {
  ClassLabels labels{.names = distinct(names)};
  std::map<std::string_view, int64_t> number = {{"", -1}};
  for (const std::string& name : labels.names)
    number.emplace(name, static_cast<int64_t>(number.size()) - 1);
  for (const std::string& name : names) labels.of_pictures.push_back(number.at(name));
  return labels;
}

void require_pictures_of_all(const std::vector<std::string>& wanted, const ClassLabels& labels) {
  for (const std::string& name : distinct(wanted)) {
    if (std::find(labels.names.begin(), labels.names.end(), name) != labels.names.end()) continue;
    fail_usage("classes", fmt::format("no picture of the class '{}' can be read; mend its files, "
                                      "or leave the class out",
                                      printable(name)));
  }
}

std::vector<SourceFile> entries_of(const ClassLabels& labels) {
  std::string names, numbers;
  for (const std::string& name : labels.names) names += name + '\0';
  for (const int64_t label : labels.of_pictures) numbers += std::to_string(label) + '\n';
  const auto entry = [](const char* name, const std::string& contents) {
    return SourceFile{
        .name = name, .bytes = static_cast<int64_t>(contents.size()), .hash = hash_hex(contents)};
  };
  return {entry("/classes", names), entry("/labels", numbers)};
}

bool is_class_entry(const SourceFile& entry) { return entry.name.starts_with('/'); }

}  // namespace ddpm
