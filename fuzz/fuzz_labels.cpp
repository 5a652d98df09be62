// A table of file names and classes: it is read, written with quotes around all, and read again.
#include <algorithm>

#include "ddpm/data/label_table.h"
#include "fuzz/support.h"

namespace {

std::string quoted(const std::string& field) {
  std::string text = "\"";
  for (const char c : field) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + '"';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ddpm;
  std::vector<LabelRow> rows;
  if (!fuzz::succeeds([&] { rows = parse_label_table(fuzz::text_of(data, size), "input"); }))
    return 0;
  std::string text;
  for (const LabelRow& row : rows) text += quoted(row.file) + "," + quoted(row.name) + "\r\n";
  const std::vector<LabelRow> again = parse_label_table(text, "text");
  fuzz::require(rows.size() == again.size(), "no row is lost");
  for (size_t i = 0; i < rows.size(); ++i) {
    fuzz::require(rows[i].file == again[i].file && rows[i].name == again[i].name,
                  "a row survives a round trip");
    fuzz::require(i == 0 || rows[i].line > rows[i - 1].line, "lines rise");
  }
  return 0;
}
