// The text has one line per file. The hash covers names and contents. Times and sizes only show
// which files need not be hashed again.
#include "ddpm/data/fingerprint.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/text.h"
#include "ddpm/data/json_line.h"

namespace ddpm {
namespace {

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

SourceFile parse_line(std::string_view text) {
  const JsonLine line(text);
  SourceFile file;
  file.name = line.text("name");
  if (file.name.empty()) fail("data", "the name is empty");
  file.bytes = line.number("bytes");
  if (file.bytes < 0) fail("data", fmt::format("bytes is {}, less than 0", file.bytes));
  file.modified_ns = line.number("modified_ns");
  file.hash = line.text("hash");
  if (file.hash.size() != Hasher::kDigits || !is_hex(file.hash))
    fail("data", fmt::format("'{}' is not a hash of {} digits", file.hash, Hasher::kDigits));
  return file;
}

// Counts the files with one kind of change, and keeps the first names.
class Change {
 public:
  void add(const std::string& name) {
    if (count_++ < kNamed) names_ += (names_.empty() ? "" : ", ") + printable(name);
  }
  void describe(const char* kind, std::string& text) const {
    if (count_ == 0) return;
    if (text.empty())
      text = fmt::format("{} file{} {}", count_, count_ == 1 ? "" : "s", kind);
    else
      text += fmt::format(", {} {}", count_, kind);
    text += fmt::format(" ({}{})", names_, count_ > kNamed ? ", ..." : "");
  }

 private:
  static constexpr int64_t kNamed = 3;
  int64_t count_ = 0;
  std::string names_;
};

}  // namespace

std::string DataFingerprint::hash() const {
  Hasher hasher;
  for (const SourceFile& file : files) {
    hasher.update(file.name);
    // The zero byte ends the name, because no name contains one.
    hasher.update("\0", 1);
    hasher.update(file.hash);
  }
  return hasher.hex();
}

std::string to_text(const DataFingerprint& fingerprint) {
  std::string text;
  for (const SourceFile& file : fingerprint.files) {
    text += JsonLineWriter()
                .text("name", file.name)
                .number("bytes", file.bytes)
                .number("modified_ns", file.modified_ns)
                .text("hash", file.hash)
                .line();
  }
  return text;
}

DataFingerprint fingerprint_from_text(std::string_view text, std::string_view what) {
  DataFingerprint fingerprint;
  std::unordered_set<std::string> names;
  for (size_t begin = 0; begin < text.size();) {
    const size_t number = fingerprint.files.size() + 1;
    const size_t end = text.find('\n', begin);
    if (end == std::string_view::npos)
      fail("data", fmt::format("{}, line {} is cut short", what, number));
    try {
      SourceFile file = parse_line(text.substr(begin, end - begin));
      if (!names.insert(file.name).second) fail("data", "it has the name of an earlier line");
      fingerprint.files.push_back(std::move(file));
    } catch (const Error& error) {
      fail("data",
           fmt::format("{}, line {} does not describe a file: {}", what, number, error.what()));
    }
    begin = end + 1;
  }
  return fingerprint;
}

std::string describe_changes(const DataFingerprint& before, const DataFingerprint& now) {
  std::unordered_map<std::string_view, const SourceFile*> old, current;
  for (const SourceFile& file : before.files) old.emplace(file.name, &file);
  for (const SourceFile& file : now.files) current.emplace(file.name, &file);
  Change added, removed, changed;
  for (const SourceFile& file : now.files) {
    const auto same = old.find(file.name);
    if (same == old.end())
      added.add(file.name);
    else if (same->second->hash != file.hash)
      changed.add(file.name);
  }
  for (const SourceFile& file : before.files)
    if (!current.contains(file.name)) removed.add(file.name);
  std::string text;
  added.describe("added", text);
  removed.describe("removed", text);
  changed.describe("changed", text);
  if (text.empty() && before.hash() != now.hash()) text = "the files come in another order";
  return text;
}

}  // namespace ddpm
