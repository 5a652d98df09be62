#include "ddpm/data/label_table.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

class Reader {
 public:
  Reader(std::string_view text, std::string_view what) : text_(text), what_(what) {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  }

  std::vector<LabelRow> rows() {
    std::vector<LabelRow> all;
    while (!text_.empty()) {
      begin_ = line_;
      std::vector<std::string> fields = row();
      const bool empty_line = fields.size() == 1 && fields[0].empty() && !quoted_;
      if (empty_line) continue;
      if (fields.size() != 2) {
        refuse(fmt::format("has {} column{}; each line is FILE,CLASS, such as a.png,cat",
                           fields.size(), fields.size() == 1 ? "" : "s"));
      }
      if (fields[0].empty()) refuse("names no file");
      all.push_back({std::move(fields[0]), std::move(fields[1]), begin_});
    }
    return all;
  }

 private:
  // The fields up to the end of the line, which is taken as well.
  std::vector<std::string> row() {
    std::vector<std::string> fields;
    quoted_ = false;
    for (bool more = true; more;) {
      skip_spaces();
      fields.push_back(text_.starts_with('"') ? quoted() : plain());
      if (fields.back().find('\0') != std::string::npos) refuse("holds a NUL byte");
      more = text_.starts_with(',');
      if (more) text_.remove_prefix(1);
    }
    if (text_.starts_with("\r\n")) text_.remove_prefix(1);
    if (text_.starts_with('\n')) {
      text_.remove_prefix(1);
      ++line_;
    } else if (!text_.empty()) {
      refuse("has text behind a closing quote");
    }
    return fields;
  }

  std::string plain() {
    size_t end = std::min(text_.find_first_of(",\n"), text_.size());
    const size_t next = end;
    while (end > 0 && is_space(text_[end - 1])) --end;
    std::string field(text_.substr(0, end));
    text_.remove_prefix(next);
    return field;
  }

  std::string quoted() {
    quoted_ = true;
    std::string field;
    for (;;) {
      text_.remove_prefix(1);  // the quote
      const size_t end = text_.find('"');
      if (end == std::string_view::npos) refuse("opens a quote that nothing closes");
      field += text_.substr(0, end);
      text_.remove_prefix(end + 1);
      if (!text_.starts_with('"')) break;
      field += '"';
    }
    line_ += std::count(field.begin(), field.end(), '\n');
    skip_spaces();
    return field;
  }

  void skip_spaces() {
    while (!text_.empty() && is_space(text_[0]) && !text_.starts_with("\r\n"))
      text_.remove_prefix(1);
  }

  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

  [[noreturn]] void refuse(const std::string& how) const {
    fail_usage("labels", fmt::format("{}, line {} {}", what_, begin_, how));
  }

  std::string_view text_, what_;
  int64_t line_ = 1, begin_ = 1;
  bool quoted_ = false;  // a field of the row
};

}  // namespace

std::vector<LabelRow> parse_label_table(std::string_view text, std::string_view what) {
  return Reader(text, what).rows();
}

}  // namespace ddpm
