#include "ddpm/base/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ddpm {
namespace {

// Known answers of Random123's philox4x32-10.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, NormalDoesNotDependOnHowItIsCut) {
  const Philox random(7, 3);
  std::vector<float> whole(101), pieces(101);
  random.normal(5, 101, whole.data());
  for (int i = 0; i < 101; i += 7) random.normal(5 + i, std::min(7, 101 - i), pieces.data() + i);
  EXPECT_EQ(whole, pieces);
}

TEST(Philox, NormalHasTheMomentsOfANormal) {
  const int n = 200000;
  std::vector<float> x(n);
  Philox(1, 0).normal(0, n, x.data());
  double sum = 0, squares = 0, fourth = 0;
  for (float v : x) {
    sum += v;
    squares += double(v) * v;
    fourth += std::pow(double(v), 4);
  }
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96.0 / n));
}

TEST(Philox, SeedsAndStreamsDiffer) {
  EXPECT_NE(Philox(1, 0).bits(0), Philox(2, 0).bits(0));
  EXPECT_NE(Philox(1, 0).bits(0), Philox(1, 1).bits(0));
}

TEST(Philox, BelowStaysBelowAndReachesEveryValue) {
  std::vector<int> seen(10);
  for (int i = 0; i < 1000; ++i) ++seen.at(Philox(3).below(10, i));
  for (int count : seen) EXPECT_GT(count, 50);
}

}  // namespace
}  // namespace ddpm
