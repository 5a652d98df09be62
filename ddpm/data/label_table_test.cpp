#include "ddpm/data/label_table.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

Rows rows_of(const std::string& text) {
  Rows rows;
  for (const LabelRow& row : parse_label_table(text, "l.csv"))
    rows.emplace_back(row.file, row.name);
  return rows;
}

std::string why(const std::string& text) {
  try {
    parse_label_table(text, "l.csv");
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(LabelTable, ReadsEveryFormOfLine) {
  EXPECT_EQ(rows_of("a.png,cat\nb.png,dog\n"), (Rows{{"a.png", "cat"}, {"b.png", "dog"}}));
  EXPECT_EQ(rows_of("\xef\xbb\xbf"
                    "a.png,cat\r\n\r\n\nb.png,dog"),
            (Rows{{"a.png", "cat"}, {"b.png", "dog"}}));
  EXPECT_EQ(rows_of(" a b.png , big cat \nc.png,\n"),
            (Rows{{"a b.png", "big cat"}, {"c.png", ""}}));
  EXPECT_EQ(rows_of("\"a,b.png\" , \"say \"\"hi\"\"\"\n\" c\nd.png\",x\r\n"),
            (Rows{{"a,b.png", "say \"hi\""}, {" c\nd.png", "x"}}));
  EXPECT_EQ(rows_of(""), Rows());
}

TEST(LabelTable, KnowsTheLineOfARow) {
  const auto rows = parse_label_table("a,\"x\ny\"\n\nb,z\n", "l.csv");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].line, 4);
}

TEST(LabelTable, SaysWhatIsWrongAndWhere) {
  const struct {
    const char *text, *says;
  } cases[] = {{"a.png,cat\nb.png\n", "l.csv, line 2 has 1 column; each line is FILE,CLASS"},
               {"a.png;cat\n", "line 1 has 1 column"},
               {"a.png,cat,3\n", "line 1 has 3 columns"},
               {",cat\n", "line 1 names no file"},
               {"\"\"\n", "line 1 has 1 column"},
               {"a.png,\"cat\n", "line 1 opens a quote that nothing closes"},
               {"a.png,\"cat\" x\n", "line 1 has text behind a closing quote"}};
  for (const auto& [text, says] : cases) {
    EXPECT_NE(why(text).find(says), std::string::npos) << text << ": " << why(text);
  }
  EXPECT_NE(why(std::string("a\0b,cat\n", 8)).find("line 1 holds a NUL byte"), std::string::npos);
}

}  // namespace
}  // namespace ddpm
