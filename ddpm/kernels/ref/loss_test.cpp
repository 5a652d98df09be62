#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using Values = std::vector<float>;

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
    EXPECT_DOUBLE_EQ(ref.loss(expected.kind, p, t), expected.loss);
    Tensor dp({4});
    ref.loss_backward(expected.kind, p, t, 4, dp);
    EXPECT_EQ(dp.values(), expected.gradient);
  }
}

TEST(RefLoss, NanShowsInLossAndGradient) {
  RefBackend ref;
  const Tensor p = Tensor::of({2}, {NAN, 1}), t = Tensor::zeros({2});
  for (const LossKind kind : {LossKind::kMse, LossKind::kL1, LossKind::kHuber}) {
    EXPECT_TRUE(std::isnan(ref.loss(kind, p, t)));
    Tensor dp({2});
    ref.loss_backward(kind, p, t, 1, dp);
    EXPECT_TRUE(std::isnan(dp.f32()[0]));
  }
}

TEST(RefSinusoidalEmbedding, InterleavesSineAndCosine) {
  RefBackend ref;
  Tensor y({2, 4});
  ref.sinusoidal_embedding(Tensor::of({2}, {0, 30}), y);
  const double expected[] = {
      0, 1, 0, 1, std::sin(30.0), std::cos(30.0), std::sin(0.3), std::cos(0.3)};
  for (int i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(y.f32()[i], static_cast<float>(expected[i]));
}

}  // namespace
}  // namespace ddpm
