#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using Values = std::vector<float>;

struct Standardized {
  Tensor weight, mean, rstd;
};

Standardized standardize(const Tensor& w, double eps) {
  RefBackend ref;
  const int64_t filters = w.size(-1), rows = w.elements() / filters;
  Standardized result{Tensor(w.shape()), Tensor({filters}), Tensor({filters})};
  ref.run(op::WeightMoments{.eps = eps, .w = w, .mean = result.mean, .rstd = result.rstd});
  // One pixel per row of w, seen by a 1x1 convolution, is that row.
  Tensor rows_of_identity = Tensor::zeros({1, rows, 1, rows});
  for (int64_t i = 0; i < rows; ++i) rows_of_identity.f32()[i * (rows + 1)] = 1;
  const Tensor matrix = w.reshape({1, 1, rows, filters});
  Tensor y({1, rows, 1, filters});
  ref.run(op::Conv2d{.x = rows_of_identity, .w = {matrix, &result.mean, &result.rstd}, .y = y});
  result.weight = y.reshape(w.shape());
  return result;
}

TEST(RefWeightStandardization, TakesEachOutputChannelToZeroMeanAndUnitVariance) {
  // Column 0: 1, 3; column 1: -4, 2.
  const Standardized result = standardize(Tensor::of({1, 2, 1, 2}, {1, -4, 3, 2}), 0);
  EXPECT_EQ(result.weight.values(), (Values{-1, -1, 1, 1}));
  EXPECT_EQ(result.mean.values(), (Values{2, -1}));
  EXPECT_EQ(result.rstd.values(), (Values{1, static_cast<float>(1.0 / 3)}));
}

TEST(RefWeightStandardization, AddsEpsToTheVariance) {
  const Standardized result = standardize(Tensor::of({1, 2, 1, 1}, {1, 3}), 3);
  EXPECT_EQ(result.weight.values(), (Values{-0.5, 0.5}));
}

TEST(RefWeightStandardization, AConstantFilterBecomesZerosAndHasNoGradient) {
  RefBackend ref;
  const Tensor w = Tensor::full({3, 3, 5, 2}, 0.1f);
  const Standardized result = standardize(w, 0);
  EXPECT_EQ(result.weight.values(), Values(90, 0.0f));
  EXPECT_EQ(result.rstd.values(), (Values{0, 0}));
  Tensor dw(w.shape());
  ref.run(op::WeightStandardizeBackward{.dstandardized = Tensor::full(w.shape(), 2),
                                        .w = w,
                                        .mean = result.mean,
                                        .rstd = result.rstd,
                                        .dw = dw});
  EXPECT_EQ(dw.values(), Values(90, 0.0f));
}

TEST(RefWeightStandardization, ADeviationTooSmallToInvertCountsAsNone) {
  const Standardized result = standardize(Tensor::of({1, 2, 1, 1}, {1e-42f, -1e-42f}), 0);
  EXPECT_EQ(result.weight.values(), (Values{0, 0}));
}

// standardized does not change when w is shifted or scaled, so dw is orthogonal to 1 and to w.
TEST(RefWeightStandardization, GradientIsOrthogonalToShiftAndScale) {
  RefBackend ref;
  Tensor w({3, 3, 2, 1}), grad({3, 3, 2, 1}), dw({3, 3, 2, 1});
  ref.run(op::Normal{.seeds = {1, 2, 3}, .stream = 0, .x = w});
  ref.run(op::Normal{.seeds = {4, 5, 6}, .stream = 0, .x = grad});
  const Standardized result = standardize(w, 0);
  ref.run(op::WeightStandardizeBackward{
      .dstandardized = grad, .w = w, .mean = result.mean, .rstd = result.rstd, .dw = dw});
  double sum = 0, along = 0, size = 0;
  for (int64_t i = 0; i < w.elements(); ++i) {
    sum += dw.f32()[i];
    along += double{dw.f32()[i]} * w.f32()[i];
    size += std::abs(dw.f32()[i]);
  }
  EXPECT_GT(size, 1);
  EXPECT_NEAR(sum, 0, 1e-5);
  EXPECT_NEAR(along, 0, 1e-5);
}

}  // namespace
}  // namespace ddpm
