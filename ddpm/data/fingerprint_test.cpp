#include "ddpm/data/fingerprint.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

SourceFile file(const std::string& name, const std::string& contents, int64_t modified_ns = 7) {
  return {name, static_cast<int64_t>(contents.size()), modified_ns, hash_hex(contents)};
}

std::string why(const std::string& text) {
  return test::message_of([&] { fingerprint_from_text(text, "data.jsonl"); });
}

#define EXPECT_SAYS(text, piece) EXPECT_NE((text).find(piece), std::string::npos) << (text)

TEST(FingerprintTest, TheHashIsOfNamesAndContentsInTheirOrder) {
  const DataFingerprint one{{file("a", "1"), file("b", "2")}};
  EXPECT_EQ(one.hash(), (DataFingerprint{{file("a", "1", 99), file("b", "2", -5)}}).hash());
  EXPECT_NE(one.hash(), (DataFingerprint{{file("b", "2"), file("a", "1")}}).hash());
  EXPECT_NE(one.hash(), (DataFingerprint{{file("a", "2"), file("b", "1")}}).hash());
  EXPECT_NE(one.hash(), (DataFingerprint{{file("a", "1"), file("c", "2")}}).hash());
  EXPECT_NE(one.hash(), (DataFingerprint{{file("a", "1")}}).hash());
}

TEST(FingerprintTest, TextKeepsEveryNameToTheByte) {
  const DataFingerprint all{{file("sub folder/a \"1\".png", "x", 1'700'000'000'123'456'789),
                             file("\xff\xfe latin", ""), file("line\nend\x1b[31m", "y", -1),
                             file("\xe5\xb1\xb1.png", "z")}};
  const std::string text = to_text(all);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
  EXPECT_EQ(fingerprint_from_text(text, "x").files, all.files);
  EXPECT_TRUE(fingerprint_from_text("", "x").files.empty());
}

TEST(FingerprintTest, DamagedTextIsRefusedWithItsLine) {
  const std::string good = to_text({{file("a", "1")}}), other = to_text({{file("b", "1")}});
  EXPECT_SAYS(why(good + "{\"name\":\"b\"}\n"), "data.jsonl, line 2 does not describe a file");
  EXPECT_SAYS(why(good + "{\"name\":\"b\"}\n"), "bytes is missing");
  EXPECT_SAYS(why(good + other.substr(0, other.size() - 1)), "line 2 is cut short");
  EXPECT_SAYS(why(good + good), "name of an earlier line");
  EXPECT_SAYS(why("[]\n"), "line 1");
  const auto with = [](const std::string& name, const std::string& bytes, const std::string& hash) {
    return "{\"name\":\"" + name + "\",\"bytes\":" + bytes + ",\"modified_ns\":0,\"hash\":\"" +
           hash + "\"}\n";
  };
  const std::string hash = hash_hex("");
  EXPECT_EQ(why(with("a", "0", hash)), "");
  EXPECT_SAYS(why(with("", "0", hash)), "name is empty");
  EXPECT_SAYS(why(with("a", "-1", hash)), "bytes is -1");
  EXPECT_SAYS(why(with("a", "1.5", hash)), "whole number");
  EXPECT_SAYS(why(with("a", "0", hash.substr(1))), "not a hash");
}

TEST(FingerprintTest, ChangesAreNamed) {
  const DataFingerprint before{{file("a.png", "1"), file("b.png", "2"), file("c.png", "3")}};
  EXPECT_EQ(describe_changes(before, before), "");
  EXPECT_EQ(describe_changes(before, {{file("c.png", "4"), file("new.png", "1")}}),
            "1 file added (new.png), 2 removed (a.png, b.png), 1 changed (c.png)");
  EXPECT_EQ(describe_changes(before, {{before.files[1], before.files[0], before.files[2]}}),
            "the files come in another order");
  EXPECT_EQ(describe_changes({}, before), "3 files added (a.png, b.png, c.png)");
  DataFingerprint more = before;
  more.files.push_back(file("d\n\xff", ""));
  EXPECT_EQ(describe_changes(more, {}), "4 files removed (a.png, b.png, c.png, ...)");
  EXPECT_EQ(describe_changes(before, more), "1 file added (d\\n\\xff)");
}

}  // namespace
}  // namespace ddpm
