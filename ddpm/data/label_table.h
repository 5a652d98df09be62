// A table of file names and classes as text: comma-separated values (RFC 4180).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

struct LabelRow {
  std::string file;
  // Empty: the file has no class.
  std::string name;
  // Where the row begins, from 1.
  int64_t line = 0;
};

// The rows of a table of two columns: FILE,CLASS. Lines end with LF or CRLF, empty ones are passed
// over, and so is a byte order mark at the start. A field in double quotes may hold commas, ends of
// lines, and quotes written twice; around other fields spaces do not count. Throws UsageError that
// names `what` (a path, say) and the line.
std::vector<LabelRow> parse_label_table(std::string_view text, std::string_view what);

}  // namespace ddpm
