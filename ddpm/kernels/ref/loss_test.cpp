#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using Values = std::vector<float>;

double loss(Backend& on, LossKind kind, const Tensor& prediction, const Tensor& target) {
  double mean = NAN;
  on.run(op::Loss{.kind = kind, .prediction = prediction, .target = target, .mean = mean});
  return mean;
}

struct Case {
  LossKind kind;
  double loss;
  Values gradient;
};

// Differences 0.5, -3, 0, 1.
TEST(RefLoss, ValuesAndGradients) {
  RefBackend ref;
  const Tensor p = Tensor::of({4}, {1.5, -1, 4, 0}), t = Tensor::of({4}, {1, 2, 4, -1});
  for (const Case& expected :
       {Case{LossKind::kMse, 10.25 / 4, {1, -6, 0, 2}}, Case{LossKind::kL1, 4.5 / 4, {1, -1, 0, 1}},
        Case{LossKind::kHuber, 3.125 / 4, {0.5, -1, 0, 1}}}) {
    EXPECT_DOUBLE_EQ(loss(ref, expected.kind, p, t), expected.loss);
    Tensor dp({4});
    ref.run(op::LossBackward{
        .kind = expected.kind, .prediction = p, .target = t, .upstream = 4, .dprediction = dp});
    EXPECT_EQ(dp.values(), expected.gradient);
  }
}

// Two images of two elements, differences 0.5, -3 and 0, 1, weighted 2 and 4.
TEST(RefLoss, EachImageHasItsWeight) {
  RefBackend ref;
  const Tensor p = Tensor::of({2, 2}, {1.5, -1, 4, 0}), t = Tensor::of({2, 2}, {1, 2, 4, -1});
  const Tensor weights = Tensor::of({2}, {2, 4});
  double mean = NAN;
  ref.run(op::Loss{
      .kind = LossKind::kMse, .prediction = p, .target = t, .weights = &weights, .mean = mean});
  EXPECT_DOUBLE_EQ(mean, (2 * 9.25 + 4 * 1) / 4);
  Tensor dp({2, 2});
  ref.run(op::LossBackward{.kind = LossKind::kMse,
                           .prediction = p,
                           .target = t,
                           .weights = &weights,
                           .upstream = 4,
                           .dprediction = dp});
  EXPECT_EQ(dp.values(), (Values{2, -12, 0, 8}));
}

TEST(RefLoss, NanShowsInLossAndGradient) {
  RefBackend ref;
  const Tensor p = Tensor::of({2}, {NAN, 1}), t = Tensor::zeros({2});
  for (const LossKind kind : {LossKind::kMse, LossKind::kL1, LossKind::kHuber}) {
    EXPECT_TRUE(std::isnan(loss(ref, kind, p, t)));
    Tensor dp({2});
    ref.run(op::LossBackward{
        .kind = kind, .prediction = p, .target = t, .upstream = 1, .dprediction = dp});
    EXPECT_TRUE(std::isnan(dp.f32()[0]));
  }
}

TEST(RefSinusoidalEmbedding, InterleavesSineAndCosine) {
  RefBackend ref;
  Tensor y({2, 4});
  ref.run(op::SinusoidalEmbedding{.t = Tensor::of({2}, {0, 30}), .y = y});
  const double expected[] = {
      0, 1, 0, 1, std::sin(30.0), std::cos(30.0), std::sin(0.3), std::cos(0.3)};
  for (int i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(y.f32()[i], static_cast<float>(expected[i]));
}

}  // namespace
}  // namespace ddpm
