#include "ddpm/optim/gradient_sum.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ddpm {
namespace {

Variable parameter() { return Variable::leaf(Tensor::zeros({1})); }

float sum_of(const std::vector<float>& parts) {
  const Variable p = parameter();
  GradientSum sum({p});
  for (const float part : parts) {
    p.slot()->accumulate(Tensor::of({1}, {part}));
    sum.add();
  }
  sum.finish();
  return p.grad().values()[0];
}

// The sum of parts [begin, end) in the promised order: groups of 4^k parts.
float sum_in_groups(const std::vector<float>& parts, size_t begin, size_t end, size_t group) {
  if (group == 1) return parts[begin];
  float sum = 0;
  for (size_t from = begin; from < end; from += group / 4) {
    const float one = sum_in_groups(parts, from, std::min(from + group / 4, end), group / 4);
    sum = from == begin ? one : sum + one;
  }
  return sum;
}

TEST(GradientSum, AddsInGroupsOfFour) {
  std::vector<float> parts;
  for (int n = 1; n <= 70; ++n) {
    parts.push_back(std::sin(static_cast<float>(n)) * 1e3f);
    EXPECT_EQ(sum_of(parts), sum_in_groups(parts, 0, parts.size(), 256)) << n;
  }
}

// 1 + 2^-24 rounds to 1, but 2^-24 + 2^-24 is exact.
TEST(GradientSum, AGroupIsAddedBeforeItsSumIs) {
  const float tiny = 0x1p-24f;
  EXPECT_EQ(sum_of({1, 0, 0, 0, tiny, tiny, tiny, tiny}), 1 + 4 * tiny);
  EXPECT_EQ(sum_of({1, tiny, tiny, tiny}), 1);
}

TEST(GradientSum, APartWithoutAGradientCountsAsZero) {
  const Variable a = parameter(), b = parameter(), never = parameter();
  GradientSum sum({a, b, never});
  for (int part = 0; part < 6; ++part) {
    const Variable& given = part % 4 == 1 ? b : a;
    given.slot()->accumulate(Tensor::of({1}, {std::ldexp(1.0f, part)}));
    sum.add();
  }
  sum.finish();
  EXPECT_EQ(a.grad().values()[0], 1 + 4 + 8 + 16);
  EXPECT_EQ(b.grad().values()[0], 2 + 32);
  EXPECT_FALSE(never.grad().defined());
}

TEST(GradientSum, StartsAgainAfterTheEndAndAfterClear) {
  const Variable p = parameter();
  GradientSum sum({p});
  for (int part = 0; part < 7; ++part) {
    p.slot()->accumulate(Tensor::of({1}, {1}));
    sum.add();
  }
  sum.restart();
  EXPECT_FALSE(p.grad().defined());
  sum.finish();
  EXPECT_FALSE(p.grad().defined());
  for (const float expected : {16.0f, 2.0f}) {
    p.slot()->accumulate(Tensor::of({1}, {expected}));
    sum.add();
    sum.finish();
    EXPECT_EQ(p.grad().values()[0], expected);
    p.slot()->clear();
  }
}

// The sum of the parts by ranks that have consecutive ones, which send each other what
// GradientSum::take_last() gives.
float sum_by_ranks(const std::vector<float>& parts, size_t ranks) {
  OrderedSum all;
  for (size_t rank = 0; rank < ranks; ++rank) {
    const size_t begin = parts.size() * rank / ranks, end = parts.size() * (rank + 1) / ranks;
    if (begin == end) continue;
    const Variable p = parameter();
    GradientSum sum({p});
    sum.restart(static_cast<int64_t>(begin));
    for (size_t part = begin; part < end; ++part) {
      p.slot()->accumulate(Tensor::of({1}, {parts[part]}));
      if (part + 1 < end) sum.add();
    }
    const std::vector<PartialSum> known =
        partial_sums(static_cast<int64_t>(begin), static_cast<int64_t>(end - begin));
    std::vector<PartialSum> partial = sum.take_last(0);
    EXPECT_EQ(partial.size(), known.size());
    for (size_t k = 0; k < partial.size(); ++k) {
      EXPECT_EQ(partial[k].level, known[k].level);
      EXPECT_EQ(partial[k].index, known[k].index);
      EXPECT_EQ(partial[k].count, known[k].count);
      all.add(std::move(partial[k]));
    }
  }
  return all.total().values()[0];
}

TEST(GradientSum, HasTheSameBitsForAnyNumberOfRanks) {
  std::vector<float> parts;
  for (int n = 1; n <= 70; ++n) {
    parts.push_back(std::sin(static_cast<float>(n)) * 1e3f);
    const float alone = sum_of(parts);
    for (const size_t ranks : {1, 2, 3, 4, 5, 8, 13, 64})
      EXPECT_EQ(sum_by_ranks(parts, ranks), alone) << n << " parts, " << ranks << " ranks";
  }
}

// A rank whose parts begin and end with a group sends one sum.
TEST(GradientSum, SendsAsFewSumsAsTheOrderAllows) {
  EXPECT_EQ(partial_sums(0, 16).size(), 1u);
  EXPECT_EQ(partial_sums(4, 4).size(), 1u);
  EXPECT_EQ(partial_sums(0, 3).size(), 1u);
  EXPECT_EQ(partial_sums(2, 2).size(), 2u);
  EXPECT_EQ(partial_sums(3, 6).size(), 3u);
}

}  // namespace
}  // namespace ddpm
