#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

std::vector<Output> run(Backend& on, const Tensor& w, const Tensor& grad, double eps) {
  const int64_t filters = w.size(-1);
  Tensor dw = unwritten(w.shape()), mean = unwritten({filters}), rstd = unwritten({filters});
  on.run(op::WeightMoments{.eps = eps, .w = w, .mean = mean, .rstd = rstd});
  RefBackend ref;
  Tensor ref_mean({filters}), ref_rstd({filters});
  ref.run(op::WeightMoments{.eps = eps, .w = w, .mean = ref_mean, .rstd = ref_rstd});
  on.run(op::WeightStandardizeBackward{
      .dstandardized = grad, .w = w, .mean = ref_mean, .rstd = ref_rstd, .dw = dw});
  return {{"mean", mean}, {"rstd", rstd}, {"dw", dw}};
}

void check(Shape shape, double eps, float offset = 0) {
  Tensor w = normal_tensor(shape, 1);
  for (int64_t i = 0; i < w.elements(); ++i) w.f32()[i] = 0.02f * w.f32()[i] + offset;
  const Tensor grad = normal_tensor(shape, 2);
  expect_agrees_with_ref([&](Backend& on) { return run(on, w, grad, eps); }, shape.str());
}

class WeightStandardizationTest : public EverySimd {};

TEST_P(WeightStandardizationTest, AgreesForEveryFilterCountAroundAVector) {
  for (int64_t filters = 1; filters <= 34; ++filters) check({3, 3, 3, filters}, 1e-5);
}

TEST_P(WeightStandardizationTest, AgreesOverSeveralBlocksOfRows) {
  check({3, 3, 70, 40}, 0);
  check({1, 1, 200, 600}, 1e-5);
  check({3, 3, 16, 24}, 0, 0.1f);
}

TEST_P(WeightStandardizationTest, AConstantFilterBecomesZerosAndHasNoGradient) {
  CpuBackend cpu;
  Tensor w = normal_tensor({3, 3, 40, 9}, 1);
  for (int64_t row = 0; row < 360; ++row) w.f32()[row * 9 + 4] = 0.1f;
  const Tensor grad = normal_tensor(w.shape(), 2);
  Tensor dw(w.shape()), mean({9}), rstd({9});
  cpu.run(op::WeightMoments{.eps = 0, .w = w, .mean = mean, .rstd = rstd});
  cpu.run(op::WeightStandardizeBackward{
      .dstandardized = grad, .w = w, .mean = mean, .rstd = rstd, .dw = dw});
  EXPECT_EQ(rstd.f32()[4], 0);
  for (int64_t row = 0; row < 360; ++row) {
    ASSERT_EQ(dw.f32()[row * 9 + 4], 0);
  }
}

TEST_P(WeightStandardizationTest, TinyAndHugeFiltersNeitherUnderNorOverflow) {
  CpuBackend cpu;
  for (float size : {1e-30f, 1e30f}) {
    Tensor mean({1}), rstd({1});
    cpu.run(op::WeightMoments{
        .eps = 0, .w = Tensor::of({1, 2, 1, 1}, {size, -size}), .mean = mean, .rstd = rstd});
    EXPECT_EQ(mean.f32()[0], 0);
    EXPECT_FLOAT_EQ(rstd.f32()[0] * size, 1);
  }
}

TEST_P(WeightStandardizationTest, TheGradientMayOverwriteWhatItComesFrom) {
  CpuBackend cpu;
  const Tensor w = normal_tensor({3, 3, 40, 9}, 1), grad = normal_tensor(w.shape(), 2);
  Tensor mean({9}), rstd({9}), dw(w.shape()), in_place = grad.clone();
  cpu.run(op::WeightMoments{.eps = 1e-5, .w = w, .mean = mean, .rstd = rstd});
  cpu.run(op::WeightStandardizeBackward{
      .dstandardized = grad, .w = w, .mean = mean, .rstd = rstd, .dw = dw});
  cpu.run(op::WeightStandardizeBackward{
      .dstandardized = in_place, .w = w, .mean = mean, .rstd = rstd, .dw = in_place});
  EXPECT_TRUE(same_bits(in_place, dw));
}

TEST_P(WeightStandardizationTest, BitsDoNotDependOnTheThreadCount) {
  const Tensor w = normal_tensor({3, 3, 70, 200}, 1), grad = normal_tensor({3, 3, 70, 200}, 2);
  expect_same_bits_for_any_thread_count([&](Backend& on) { return run(on, w, grad, 0); });
}

DDPM_FOR_EVERY_SIMD(WeightStandardizationTest);

}  // namespace
}  // namespace ddpm
