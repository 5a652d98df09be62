#include "ddpm/autograd/inference.h"

#include <gtest/gtest.h>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "tests/support/compare.h"
#include "tests/support/gradients.h"

namespace ddpm {
namespace {

using test::random_tensor;

TEST(Inference, RecordsNothingEvenUnderATape) {
  const Variable x = Variable::leaf(Tensor::of({1}, {1}));
  Tape tape;
  const Tape::Recording recording(tape);
  const Inference scope;
  EXPECT_FALSE(add(x, x).requires_grad());
}

// The same convolution on inputs that use Winograd and on inputs that do not, with the prepared
// weights kept between the calls.
TEST(Inference, KeptWeightsGiveTheSameBits) {
  const Variable w(random_tensor({3, 3, 40, 36}, 1)), bias(random_tensor({36}, 2));
  const auto convolve = [&](int64_t images, int64_t side) {
    const Variable x(random_tensor({images, side, side, 40}, 3));
    return conv2d(x, w, &bias, {.padding = 1}, {.standardize_eps = 1e-5}).value().values();
  };
  for (int64_t side : {1, 4, 9, 16}) {
    const std::vector<float> plain = convolve(2, side);
    const Inference scope;
    EXPECT_EQ(convolve(2, side), plain) << side;
    EXPECT_EQ(convolve(2, side), plain) << side;
  }
  const std::vector<float> small = convolve(1, 1), large = convolve(1, 16);
  const Inference scope;
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(convolve(1, 1), small);
    EXPECT_EQ(convolve(1, 16), large);
  }
}

TEST(Inference, WhatIsKeptGoesWithTheScope) {
  const Variable w(random_tensor({3, 3, 8, 8}, 1));
  {
    const Inference scope;
    ASSERT_NE(Inference::of(w.value()), nullptr);
    Inference::of(w.value())->mean = Tensor({8});
    EXPECT_TRUE(Inference::of(w.value())->mean.defined());
    const Inference inner;
    EXPECT_FALSE(Inference::of(w.value())->mean.defined());
  }
  EXPECT_EQ(Inference::of(w.value()), nullptr);
}

}  // namespace
}  // namespace ddpm
