#include "ddpm/base/duration.h"

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace ddpm {
namespace {

double seconds(const char* text) { return parse_duration(text, "train", "--budget"); }

std::string refusal_of(const char* text) {
  return test::refusal([&] { seconds(text); });
}

TEST(Duration, ReadsNumbersWithUnits) {
  EXPECT_EQ(seconds("90s"), 90);
  EXPECT_EQ(seconds("10m"), 600);
  EXPECT_EQ(seconds("8h"), 8 * 3600);
  EXPECT_EQ(seconds("2d"), 2 * 86400);
  EXPECT_EQ(seconds("1h30m"), 5400);
  EXPECT_EQ(seconds("1d2h3m4s"), 86400 + 2 * 3600 + 3 * 60 + 4);
  EXPECT_EQ(seconds("1.5h"), 5400);
  EXPECT_EQ(seconds("0.5s"), 0.5);
}

TEST(Duration, ABareNumberIsToldTheUnits) {
  EXPECT_EQ(refusal_of("10"),
            "[train] --budget is 10, a number without a unit; write 10s for seconds, 10m for "
            "minutes, 10h for hours or 10d for days");
}

TEST(Duration, ABareNumberIsToldOnlyTheUnitsThatWouldWork) {
  EXPECT_EQ(refusal_of("20000"),
            "[train] --budget is 20000, a number without a unit; write 20000s for seconds, 20000m "
            "for minutes or 20000h for hours");
  EXPECT_EQ(refusal_of("99999999"),
            "[train] --budget is 99999999, a number without a unit; write 99999999s for seconds");
  for (const char* text : {"0", "0.0", "9999999999"}) {
    EXPECT_EQ(refusal_of(text),
              std::string("[train] --budget is ") + text +
                  ", but must be more than 0 and at most 10000d, such as 90s, 10m, 8h or 2d");
  }
}

TEST(Duration, OtherTextsAreRefused) {
  for (const char* text :
       {"", "m", "ten minutes", "10 m", "-10m", "+10m", "1e3s", "10M", "10min", "1m1h", "1h1h",
        "1h30", ".m", "1..5h", "infs", "nanm", "10m ", "1ms", "5w"}) {
    EXPECT_EQ(refusal_of(text), std::string("[train] --budget is \"") + text +
                                    "\", but must be a length of time such as 90s, 10m, 8h, 2d or "
                                    "1h30m; its units are d, h, m and s");
  }
}

TEST(Duration, NoTimeAndTooMuchTimeAreRefused) {
  for (const char* text : {"0m", "0.0s", "10001d"}) {
    EXPECT_EQ(refusal_of(text),
              std::string("[train] --budget is ") + text +
                  ", but must be more than 0 and at most 10000d, such as 90s, 10m, 8h or 2d");
  }
  EXPECT_EQ(seconds("10000d"), 864e6);
}

TEST(Duration, IsWrittenAsItIsRead) {
  for (const char* text : {"2.5s", "9s", "10s", "59s", "1m", "1m30s", "1h", "1h30m", "1d", "2d3s"})
    EXPECT_EQ(duration_text(seconds(text)), text);
  EXPECT_EQ(duration_text(90), "1m30s");
  EXPECT_EQ(duration_text(9.96), "10s");
  EXPECT_EQ(duration_text(59.7), "1m");
  EXPECT_EQ(duration_text(3599.6), "1h");
  EXPECT_EQ(duration_text(0.04), "0s");
  EXPECT_EQ(duration_text(-3), "0s");
}

}  // namespace
}  // namespace ddpm
