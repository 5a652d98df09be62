#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"
#include "ddpm/kernels/variational_bound.h"

namespace ddpm {
namespace {

constexpr LossKind kKinds[] = {LossKind::kMse, LossKind::kL1, LossKind::kHuber};

// One picture of one pixel and channel: what the bound adds to the plain loss of the first half,
// and its slope by v. The gradient of the first half must be that of the plain loss.
struct Element {
  double bits;
  double slope;
};
Element element(LossKind kind, const BoundLevel& level, float output, float v, float target,
                float x0) {
  RefBackend ref;
  const Tensor both = Tensor::of({1, 1, 1, 2}, {output, v}), t = Tensor::of({1, 1, 1, 1}, {target}),
               x = Tensor::of({1, 1, 1, 1}, {x0}), mean = Tensor::of({1, 1, 1, 1}, {output});
  double loss = 0, plain = 0;
  Tensor gradient(both.shape()), plain_gradient(t.shape());
  ref.run(op::HybridLoss{.kind = kind,
                         .output = both,
                         .target = t,
                         .x0 = x,
                         .levels = {level},
                         .bound_weight = 1,
                         .mean = loss});
  ref.run(op::HybridLossBackward{.kind = kind,
                                 .output = both,
                                 .target = t,
                                 .x0 = x,
                                 .levels = {level},
                                 .bound_weight = 1,
                                 .doutput = gradient});
  ref.run(op::Loss{.kind = kind, .prediction = mean, .target = t, .mean = plain});
  ref.run(op::LossBackward{
      .kind = kind, .prediction = mean, .target = t, .dprediction = plain_gradient});
  EXPECT_EQ(gradient.f32()[0], plain_gradient.f32()[0]);
  return {.bits = loss - plain, .slope = gradient.f32()[1]};
}

// For errors on both sides of the kinks of L1 and Huber, whose plain losses loss_test.cpp checks.
TEST(RefHybridLoss, EachKindOfLossIsThatOfTheFirstHalfPlusTheBound) {
  const BoundLevel level{.scale = 0.3, .log_low = -3, .log_high = -1};
  for (const LossKind kind : kKinds) {
    for (const float output : {-3.0f, -0.5f, 0.0f, 0.5f, 3.0f}) {
      const BoundBits bound = variational_bound(level, 0.25 - double{output}, 0.5, 0);
      const Element got = element(kind, level, output, 0.5f, 0.25f, 0);
      EXPECT_NEAR(got.bits, bound.bits, 1e-12) << output;
      EXPECT_FLOAT_EQ(static_cast<float>(got.slope), static_cast<float>(bound.slope)) << output;
    }
  }
}

// Where the network hits mean and variance there is nothing to lose.
TEST(RefHybridLoss, TheTrueStepHasNoDivergence) {
  const BoundLevel level{.scale = 0.3, .log_low = -3, .log_high = -1};
  for (const LossKind kind : kKinds) {
    const Element exact = element(kind, level, 0.5f, -1, 0.5f, 0);
    EXPECT_NEAR(exact.bits, 0, 1e-12);
    EXPECT_NEAR(exact.slope, 0, 1e-7);
    EXPECT_GT(element(kind, level, 0.5f, 0, 0.5f, 0).bits, 0.1);
  }
}

// Two normal distributions of variance 1 whose means are 2 apart: 4 / 2 nats.
TEST(RefHybridLoss, TheDivergenceIsInNatsAndTheBoundInBits) {
  const BoundLevel level{.scale = 1, .log_low = 0, .log_high = 1};
  EXPECT_NEAR(divergence(level, 2, -1).nats, 2, 1e-12);
  EXPECT_NEAR(variational_bound(level, 2, -1, 0).bits, 2 / std::numbers::ln2, 1e-12);
  // By the logarithm of the variance, and by v, of which that is half.
  EXPECT_NEAR(divergence(level, 2, -1).slope, -2, 1e-12);
  EXPECT_NEAR(variational_bound(level, 2, -1, 0).slope, -1 / std::numbers::ln2, 1e-12);
}

// The best variance is that of the posterior plus the square of the distance of the means.
TEST(RefHybridLoss, TheBestVarianceHasNoSlope) {
  const BoundLevel level{.scale = 0.3, .log_low = -3, .log_high = -1};
  const double apart = 0.3 * 0.8;
  const double best = std::log(std::exp(-3) + apart * apart);
  const auto v = static_cast<float>(2 * (best + 3) / 2 - 1);
  for (const LossKind kind : kKinds)
    EXPECT_NEAR(element(kind, level, 0.2f, v, 1.0f, 0).slope, 0, 1e-6);
}

TEST(RefHybridLoss, TheBoundMayHaveATargetOfItsOwn) {
  RefBackend ref;
  const Tensor output = Tensor::of({1, 1, 1, 2}, {0.5f, -1}),
               target = Tensor::of({1, 1, 1, 1}, {0.1f}), exact = Tensor::of({1, 1, 1, 1}, {0.5f}),
               x0 = Tensor::of({1, 1, 1, 1}, {0});
  const std::vector<BoundLevel> levels = {{.scale = 0.3, .log_low = -3, .log_high = -1}};
  double mean = 0;
  Tensor gradient(output.shape());
  ref.run(op::HybridLoss{.kind = LossKind::kMse,
                         .output = output,
                         .target = target,
                         .x0 = x0,
                         .bound_target = &exact,
                         .levels = levels,
                         .bound_weight = 1,
                         .mean = mean});
  ref.run(op::HybridLossBackward{.kind = LossKind::kMse,
                                 .output = output,
                                 .target = target,
                                 .x0 = x0,
                                 .bound_target = &exact,
                                 .levels = levels,
                                 .bound_weight = 1,
                                 .doutput = gradient});
  // The bound of an exact step is 0, whatever the loss is.
  EXPECT_NEAR(mean, 0.4 * 0.4, 1e-7);
  EXPECT_NEAR(gradient.f32()[0], 2 * 0.4, 1e-6);
  EXPECT_NEAR(gradient.f32()[1], 0, 1e-7);
}

// The masses of all 256 bins together are 1.
TEST(RefHybridLoss, TheLikelihoodsOfAllValuesSumToOne) {
  const BoundLevel level{
      .scale = 1, .log_low = std::log(0.01), .log_high = std::log(0.04), .to_image = true};
  double sum = 0;
  for (int i = 0; i < 256; ++i) {
    const double x0 = i / 127.5 - 1, mean = 0.31;
    sum += std::exp2(-variational_bound(level, x0 - mean, 0.2, x0).bits);
  }
  EXPECT_NEAR(sum, 1, 1e-6);
}

TEST(RefHybridLoss, NanStaysNan) {
  const BoundLevel level{.scale = 1, .log_low = -5, .log_high = -4, .to_image = true};
  const BoundLevel between{.scale = 1, .log_low = -5, .log_high = -4};
  for (const LossKind kind : kKinds) {
    EXPECT_TRUE(std::isnan(element(kind, level, 0, NAN, 0, 0).bits));
    EXPECT_TRUE(std::isnan(element(kind, between, 0, NAN, 0, 0).bits));
  }
}

TEST(RefScaleByDeviation, TakesTheVarianceBetweenItsEnds) {
  RefBackend ref;
  Tensor x = Tensor::of({1, 1, 1, 3}, {2, 2, 2});
  ref.run(op::ScaleByDeviation{
      .log_low = -4, .log_high = -2, .v = Tensor::of({1, 1, 1, 3}, {-1, 0, 1}), .x = x});
  EXPECT_NEAR(x.f32()[0], 2 * std::exp(-2), 1e-6);
  EXPECT_NEAR(x.f32()[1], 2 * std::exp(-1.5), 1e-6);
  EXPECT_NEAR(x.f32()[2], 2 * std::exp(-1), 1e-6);
}

}  // namespace
}  // namespace ddpm
