#include "ddpm/data/stream/picture_index.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "ddpm/data/json_line.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using namespace std::string_literals;
using test::message_of;

const std::string kHash = "0123456789abcdef0123456789abcdef";

PictureIndex some_index() {
  PictureIndex index{.settings = "1 8x8", .pictures = {}};
  for (const std::string& name : {"a/b.png"s, "caf\xc3\xa9 \"1\".jpg"s, "\xff\n\\.gif"s})
    index.pictures.push_back(
        {.file = {.name = name, .bytes = 12, .modified_ns = -5, .hash = kHash}, .channels = 3});
  index.pictures.push_back({.file = {.name = "broken", .bytes = 0, .modified_ns = 7, .hash = ""},
                            .channels = 0,
                            .reason = "the file is empty"});
  return index;
}

TEST(PictureIndexTest, TextComesBack) {
  const PictureIndex index = some_index();
  EXPECT_EQ(index_from_text(to_text(index), "x"), index);
  EXPECT_EQ(index_from_text("", "x"), PictureIndex{});
}

TEST(PictureIndexTest, DamagedTextIsRefused) {
  const std::string text = to_text(some_index());
  for (size_t cut = 1; cut < text.size(); cut += 7) {
    const size_t begin = text.rfind('\n', cut - 1);
    if (text[cut - 1] == '\n' || begin == std::string::npos) continue;
    EXPECT_NE(message_of([&] { index_from_text(text.substr(0, cut), "x"); }), "") << cut;
  }
  // With a hash that is right, so that only the line itself is wrong.
  const auto why = [](const std::string& end) {
    const std::string line = "{\"name\":\"a\",\"bytes\":1,\"modified_ns\":1,\"hash\":\"\"" + end;
    const std::string first = "{\"settings\":\"\",\"hash\":\"" + hash_hex(line) + "\"}\n";
    return message_of([&] { index_from_text(first + line, "x"); });
  };
  EXPECT_NE(why("}\n"), "");
  EXPECT_NE(why(",\"channels\":2}\n"), "");
  EXPECT_NE(why(",\"channels\":0}\n"), "");
  EXPECT_EQ(why(",\"channels\":1}\n"), "");
}

TEST(PictureIndexTest, AnotherByteIsNoticed) {
  const std::string text = to_text(some_index());
  for (size_t k = text.find('\n') + 1; k < text.size(); ++k) {
    std::string changed = text;
    changed[k] = changed[k] == '1' ? '2' : '1';
    EXPECT_NE(message_of([&] { index_from_text(changed, "x"); }), "") << k;
  }
}

TEST(PictureIndexTest, KnowsUnchangedFilesOnly) {
  const PictureIndex index = some_index();
  const SourceFile file{.name = "a/b.png", .bytes = 12, .modified_ns = -5, .hash = ""};
  EXPECT_EQ(KnownPictures(&index, "1 8x8").find(file), index.pictures.data());
  EXPECT_EQ(KnownPictures(&index, "1 9x9").find(file), nullptr);
  EXPECT_EQ(KnownPictures(nullptr, "1 8x8").find(file), nullptr);
  for (const SourceFile& other :
       {SourceFile{"a/c.png", 12, -5, ""}, {"a/b.png", 13, -5, ""}, {"a/b.png", 12, -6, ""}})
    EXPECT_EQ(KnownPictures(&index, "1 8x8").find(other), nullptr);
}

TEST(JsonLineTest, ReadsWhatJsonObjectReads) {
  for (const std::string& text :
       {R"({"a":"x","b":12})"s, R"({"a":"x","b":-0})"s, R"({ "b" : 12, "a" : "x" })"s,
        R"({"a":"x\n","b":3})"s, R"({"b":9223372036854775807,"a":""})"s,
        "{\"a\":\"\xc3\xa9\",\"b\":0}"s, R"({"a":"x","c":[1,2],"b":5})"s}) {
    const JsonObject object = JsonObject::parse(text, "x");
    const JsonLine line(text);
    std::string a;
    int64_t b = 0;
    json_value::read(*object.find("a"), "a", a);
    json_value::read(*object.find("b"), "b", b);
    EXPECT_EQ(line.text("a"), a) << text;
    EXPECT_EQ(line.number("b"), b) << text;
  }
}

TEST(JsonLineTest, RefusesWhatJsonObjectRefuses) {
  for (const char* text :
       {"", "{", "{}x", R"({"a":1,})", R"({"a":01})", R"({"a":-01})", R"({"a":"x)",
        R"({"a":1,"a":2})", R"({"a":1 "b":2})", R"({a:1})", R"({"a":+1})", "[1]"}) {
    EXPECT_NE(message_of([&] { JsonLine line(text); }), "") << text;
  }
  EXPECT_NE(message_of([] { JsonLine("{}").text("a"); }), "");
  EXPECT_NE(message_of([] { JsonLine(R"({"a":"1"})").number("a"); }), "");
  EXPECT_NE(message_of([] { JsonLine(R"({"a":9223372036854775808})").number("a"); }), "");
  EXPECT_NE(message_of([] { JsonLine(R"({"a":1.5})").number("a"); }), "");
}

TEST(JsonLineTest, WritesAnyBytes) {
  for (const std::string& text : {"plain"s, "\"quoted\" \\"s, "\xff\x01"s, ""s}) {
    const std::string line = JsonLineWriter().text("t", text).number("n", -3).line();
    EXPECT_EQ(JsonLine(line.substr(0, line.size() - 1)).text("t"), text);
    EXPECT_EQ(JsonLine(line.substr(0, line.size() - 1)).number("n"), -3);
  }
}

}  // namespace
}  // namespace ddpm
