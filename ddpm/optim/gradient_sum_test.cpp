#include "ddpm/optim/gradient_sum.h"

#include <gtest/gtest.h>

namespace ddpm {
namespace {

Variable parameter() { return Variable::leaf(Tensor::zeros({1})); }

float sum_of(const std::vector<float>& parts) {
  const Variable p = parameter();
  GradientSum sum({p});
  for (const float part : parts) {
    p.slot()->accumulate(Tensor::of({1}, {part}));
    sum.add();
    EXPECT_FALSE(p.grad().defined());
  }
  sum.finish();
  return p.grad().values()[0];
}

// 1 + 2^-24 rounds to 1, but 2^-24 + 2^-24 is exact.
TEST(GradientSum, AddsInPairs) {
  const float tiny = 0x1p-24f;
  EXPECT_EQ(sum_of({1, tiny, tiny, tiny}), 1 + 2 * tiny);
  EXPECT_EQ(sum_of({1, tiny, tiny, tiny, 1, tiny}), 2 + 2 * tiny);
  EXPECT_EQ(sum_of({3}), 3);
  EXPECT_EQ(sum_of({1, 2, 4, 8, 16, 32, 64}), 127);
}

TEST(GradientSum, APartWithoutAGradientCountsAsZero) {
  const Variable a = parameter(), b = parameter(), never = parameter();
  GradientSum sum({a, b, never});
  a.slot()->accumulate(Tensor::of({1}, {1}));
  sum.add();
  b.slot()->accumulate(Tensor::of({1}, {2}));
  sum.add();
  a.slot()->accumulate(Tensor::of({1}, {4}));
  sum.add();
  sum.finish();
  EXPECT_EQ(a.grad().values()[0], 5);
  EXPECT_EQ(b.grad().values()[0], 2);
  EXPECT_FALSE(never.grad().defined());
}

TEST(GradientSum, StartsAgainAfterTheEndAndAfterClear) {
  const Variable p = parameter();
  GradientSum sum({p});
  for (const float part : {1.0f, 2.0f, 4.0f}) {
    p.slot()->accumulate(Tensor::of({1}, {part}));
    sum.add();
  }
  p.slot()->accumulate(Tensor::of({1}, {8}));
  sum.clear();
  EXPECT_FALSE(p.grad().defined());
  sum.finish();
  EXPECT_FALSE(p.grad().defined());
  p.slot()->accumulate(Tensor::of({1}, {16}));
  sum.add();
  sum.finish();
  EXPECT_EQ(p.grad().values()[0], 16);
}

}  // namespace
}  // namespace ddpm
