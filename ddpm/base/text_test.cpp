#include "ddpm/base/text.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

TEST(Text, OrdinaryTextIsShownAsItIs) {
  EXPECT_EQ(printable("caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \\ \"x\""),
            "caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \\ \"x\"");
}

TEST(Text, ControlCharactersAreEscaped) {
  EXPECT_EQ(printable("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(printable("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
  EXPECT_EQ(printable(std::string("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m");
}

TEST(Text, MarksThatTurnTheDirectionOfWritingAreEscaped) {
  EXPECT_EQ(printable("a\xe2\x80\xaegnp.exe"), "a\\u202egnp.exe");
  EXPECT_EQ(printable("\xe2\x81\xa6"), "\\u2066");
  EXPECT_EQ(printable("\xe2\x80\xa8"), "\\u2028");
}

TEST(Text, BytesThatAreNotUtf8AreEscapedOneByOne) {
  EXPECT_EQ(printable("\xe9t\xe9"), "\\xe9t\\xe9");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xf0\x9f"), "\\xf0\\x9f");           // cut short
}

TEST(Text, ErrorsHoldOneLineWithoutControlCharacters) {
  EXPECT_EQ(test::message_of([] { fail("test", "there is no \x1b]0;title\x07 in\na"); }),
            "[test] there is no \\x1b]0;title\\x07 in\\na");
}

}  // namespace
}  // namespace ddpm
