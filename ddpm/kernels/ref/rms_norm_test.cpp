#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

// |x| = 5 over two channels, so that v = x g sqrt(2) / 5.
TEST(RefRmsNorm, GivesTheFormula) {
  RefBackend ref;
  const Tensor x = Tensor::of({1, 1, 1, 2}, {3, -4}), g = Tensor::of({2}, {5, 10});
  const Tensor film = Tensor::of({1, 4}, {1, 0, 2, -1}), residual = Tensor::of(x.shape(), {10, 20});
  Tensor y(x.shape());
  const float root = std::sqrt(2.0f);
  ref.run(op::RmsNorm{.x = x, .g = g, .y = y});
  EXPECT_FLOAT_EQ(y.values()[0], 3 * root);
  EXPECT_FLOAT_EQ(y.values()[1], -8 * root);
  ref.run(op::RmsNorm{.x = x, .g = g, .film = &film, .residual = &residual, .y = y});
  EXPECT_FLOAT_EQ(y.values()[0], 2 * 3 * root + 2 + 10);
  EXPECT_FLOAT_EQ(y.values()[1], -8 * root - 1 + 20);
  ref.run(op::RmsNorm{.args = {.silu = true}, .x = x, .g = g, .y = y});
  EXPECT_FLOAT_EQ(y.values()[0], 3 * root / (1 + std::exp(-3 * root)));
}

// Moving x along itself changes nothing.
TEST(RefRmsNorm, TheGradientIsAcrossX) {
  RefBackend ref;
  const Tensor x = Tensor::of({1, 1, 1, 3}, {1, 2, -2}), g = Tensor::of({3}, {1, 2, 3});
  const Tensor dy = Tensor::of(x.shape(), {0.5f, -1, 2});
  Tensor dx(x.shape()), dg(g.shape());
  ref.run(op::RmsNormBackward{.dy = dy, .x = x, .g = g, .dx = dx, .dg = dg});
  double along = 0;
  for (int i = 0; i < 3; ++i) along += double{dx.values()[i]} * x.values()[i];
  EXPECT_NEAR(along, 0, 1e-6);
  const float root = std::sqrt(3.0f);
  EXPECT_FLOAT_EQ(dg.values()[1], -1 * 2 * root / 3);
}

}  // namespace
}  // namespace ddpm
