#include "ddpm/optim/adam.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ddpm {
namespace {

Variable parameter(const std::vector<float>& values) {
  const int64_t n = static_cast<int64_t>(values.size());
  return Variable::leaf(Tensor::of({n}, values));
}

TEST(Adam, FirstStepMovesByTheLearningRateAgainstTheSign) {
  Variable p = parameter({1, 2, 3});
  Adam adam({p}, {.learning_rate = 0.1});
  p.slot()->accumulate(Tensor::of({3}, {5, -1e-3f, 0}));
  adam.step(0);
  EXPECT_NEAR(p.value().values()[0], 0.9, 1e-6);
  EXPECT_NEAR(p.value().values()[1], 2.1, 1e-5);
  EXPECT_EQ(p.value().values()[2], 3);
  EXPECT_FALSE(p.grad().defined());
  EXPECT_EQ(adam.steps(), 1);
}

TEST(Adam, FollowsTheFormulaOverSeveralSteps) {
  Variable p = parameter({0.5f});
  Adam adam({p}, {.learning_rate = 0.01});
  double w = 0.5, m = 0, v = 0;
  for (int t = 1; t <= 20; ++t) {
    const double g = std::sin(t) * 3;
    p.slot()->accumulate(Tensor::of({1}, {static_cast<float>(g)}));
    adam.step(0);
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    w -= 0.01 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    ASSERT_NEAR(p.value().values()[0], w, 1e-5) << t;
  }
}

TEST(Adam, ClippingScalesAllGradientsTogether) {
  Variable p = parameter({0, 0}), q = parameter({0});
  Adam adam({p, q}, {.clip_norm = 1});
  p.slot()->accumulate(Tensor::of({2}, {3, 0}));
  q.slot()->accumulate(Tensor::of({1}, {4}));
  EXPECT_NEAR(adam.gradient_norm(), 5, 1e-6);
  adam.step(adam.gradient_norm());
  EXPECT_NEAR(adam.moment1()[0].values()[0], 0.1 * 3 / 5, 1e-6);
  EXPECT_NEAR(adam.moment1()[1].values()[0], 0.1 * 4 / 5, 1e-6);
}

TEST(Adam, AverageFollowsTheWeightsWithWarmUp) {
  Variable p = parameter({1});
  Adam adam({p}, {.learning_rate = 0.5, .ema_decay = 0.99});
  EXPECT_EQ(adam.ema()[0].values()[0], 1);
  p.slot()->accumulate(Tensor::of({1}, {1}));
  adam.step(0);
  const double decay = 2.0 / 11;
  EXPECT_NEAR(adam.ema()[0].values()[0], decay * 1 + (1 - decay) * 0.5, 1e-6);
  EXPECT_EQ(ema_decay_at(0.99, 1000000), 0.99);
}

}  // namespace
}  // namespace ddpm
