#include "ddpm/base/utf8.h"

#include <gtest/gtest.h>

namespace ddpm {
namespace {

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_character(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

TEST(Utf8, CharactersAreMeasured) {
  EXPECT_EQ(utf8_character("ab"), 1u);
  EXPECT_EQ(utf8_character("\xc3\xa9x"), 2u);
  EXPECT_EQ(utf8_character("\xe2\x82\xac"), 3u);
  EXPECT_EQ(utf8_character("\xf0\x9f\x98\x80"), 4u);
  // In order: empty, a lone continuation, two cut characters, a wrong continuation, an overlong
  // slash, a surrogate, beyond U+10FFFF, not a first byte.
  for (const char* bad : {"", "\x80", "\xc3", "\xe2\x82", "\xe2\x28\xa1", "\xc0\xaf",
                          "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    EXPECT_EQ(utf8_character(bad), 0u) << bad;
  }
}

TEST(Utf8, ValidTextStaysAsItIs) {
  for (const char* text :
       {"", "plain", "\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80", "\xee\xbd\xbf \xef\x80\x80"}) {
    EXPECT_EQ(utf8_from_bytes(text), text);
    EXPECT_EQ(bytes_from_utf8(text), text);
  }
}

TEST(Utf8, OtherBytesAreCarried) {
  // U+EFE9
  EXPECT_EQ(utf8_from_bytes("a\xe9z"), "a\xee\xbf\xa9z");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  // The last is U+EF80 itself: a text that looks like an encoded byte must not become that byte.
  for (const std::string& bytes : {all, std::string("caf\xe9/\xc3"), std::string("\xe2\x82"),
                                   std::string("\xed\xa0\x80"), std::string("\xee\xbe\x80")}) {
    const std::string text = utf8_from_bytes(bytes);
    EXPECT_TRUE(is_utf8(text));
    EXPECT_EQ(bytes_from_utf8(text), bytes);
  }
}

TEST(Utf8, LongTextsAreShortenedBetweenCharacters) {
  EXPECT_EQ(shortened("short"), "short");
  EXPECT_EQ(shortened("abcdef", 3), "abc...");
  EXPECT_EQ(shortened("ab\xc3\xa9"
                      "f",
                      3),
            "ab...");
}

TEST(Utf8, FindsTheFirstByteThatIsNotUtf8) {
  EXPECT_EQ(find_invalid_utf8("caf\xc3\xa9"), std::string::npos);
  EXPECT_EQ(find_invalid_utf8("ab\xff"), 2u);
}

}  // namespace
}  // namespace ddpm
