#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

double sum_of_squares(Backend& on, const std::vector<Tensor>& tensors) {
  std::vector<double> sums;
  on.run(op::SumOfSquares{.tensors = tensors, .sums = sums});
  EXPECT_EQ(sums.size(), tensors.size());
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

TEST(RefAdam, TheFirstStepIsTheLearningRateAlongTheSign) {
  RefBackend ref;
  std::vector<AdamParameter> parameters = {{Tensor::of({2}, {1, 1}), Tensor::of({2}, {0.5, -200}),
                                            Tensor::zeros({2}), Tensor::zeros({2}), Tensor()}};
  ref.run(op::Adam{.args = {.learning_rate = 0.1}, .parameters = parameters});
  EXPECT_NEAR(parameters[0].weight.f32()[0], 0.9, 1e-6);
  EXPECT_NEAR(parameters[0].weight.f32()[1], 1.1, 1e-6);
  EXPECT_FLOAT_EQ(parameters[0].moment1.f32()[0], 0.05f);
  EXPECT_FLOAT_EQ(parameters[0].moment2.f32()[0], 0.00025f);
}

TEST(RefAdam, LaterStepsScaleTheGradientAndFollowWithTheAverage) {
  RefBackend ref;
  std::vector<AdamParameter> parameters = {{Tensor::of({1}, {2}), Tensor::of({1}, {8}),
                                            Tensor::of({1}, {1}), Tensor::of({1}, {2}),
                                            Tensor::of({1}, {10})}};
  ref.run(op::Adam{.args = {.learning_rate = 0.5,
                            .beta1 = 0.5,
                            .beta2 = 0.5,
                            .eps = 1,
                            .step = 2,
                            .grad_scale = 0.25,
                            .ema_decay = 0.75},
                   .parameters = parameters});
  // g = 2; m = 1.5, over 1 - 0.25 is 2; v = 3, over 0.75 is 4, root 2; w = 2 - 0.5 * 2 / (2 + 1).
  EXPECT_FLOAT_EQ(parameters[0].moment1.f32()[0], 1.5f);
  EXPECT_FLOAT_EQ(parameters[0].moment2.f32()[0], 3);
  EXPECT_FLOAT_EQ(parameters[0].weight.f32()[0], 5.0f / 3);
  EXPECT_FLOAT_EQ(parameters[0].ema.f32()[0], 7.5f + 5.0f / 12);
}

TEST(RefAdam, AWeightThatDecaysIsMultipliedBeforeTheUpdate) {
  RefBackend ref;
  std::vector<AdamParameter> parameters = {{Tensor::of({1}, {2}), Tensor::of({1}, {8}),
                                            Tensor::zeros({1}), Tensor::zeros({1}), Tensor(), 0.5}};
  ref.run(op::Adam{.args = {.learning_rate = 0.25}, .parameters = parameters});
  EXPECT_NEAR(parameters[0].weight.f32()[0], 0.5 * 2 - 0.25, 1e-7);
  EXPECT_FLOAT_EQ(parameters[0].moment1.f32()[0], 0.8f);  // without the decay
}

TEST(RefMoveAverages, MovesByTheShareOfTheDistance) {
  RefBackend ref;
  std::vector<AveragedTensor> tensors = {{Tensor::of({2}, {1, 2}), Tensor::of({2}, {5, 2})}};
  ref.run(op::MoveAverages{.decay = 0.75, .tensors = tensors});
  EXPECT_EQ(tensors[0].average.values(), (std::vector<float>{4, 2}));
}

TEST(RefSumOfSquares, SpansAllTensors) {
  RefBackend ref;
  EXPECT_EQ(sum_of_squares(ref, {Tensor::of({2}, {3, 4}), Tensor::full({2, 2}, 0.5)}), 26);
  // In double a billionth beside a billion is not lost.
  EXPECT_GT(sum_of_squares(ref, {Tensor::of({2}, {3e4f, 1e-3f})}), double{3e4f} * 3e4f);
}

}  // namespace
}  // namespace ddpm
