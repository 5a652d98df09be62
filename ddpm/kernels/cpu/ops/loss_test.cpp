#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

double loss(Backend& on, LossKind kind, const Tensor& prediction, const Tensor& target,
            const Tensor* weights = nullptr) {
  double mean = NAN;
  on.run(op::Loss{
      .kind = kind, .prediction = prediction, .target = target, .weights = weights, .mean = mean});
  return mean;
}

constexpr LossKind kKinds[] = {LossKind::kMse, LossKind::kL1, LossKind::kHuber};

class LossTest : public EverySimd {};

TEST_P(LossTest, AgreesForEveryLength) {
  RefBackend ref;
  CpuBackend cpu;
  for (int64_t length : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40001}) {
    const Tensor p = normal_tensor({length}, 1), t = normal_tensor({length}, 2);
    for (LossKind kind : kKinds) {
      const double expected = loss(ref, kind, p, t);
      EXPECT_NEAR(loss(cpu, kind, p, t), expected, test::Tolerance::kDoubleSum * expected)
          << length;
      expect_agrees_with_ref(
          [&](Backend& on) {
            Tensor dp = unwritten({length});
            on.run(op::LossBackward{
                .kind = kind, .prediction = p, .target = t, .upstream = 3, .dprediction = dp});
            return std::vector<Output>{{"dp", dp}};
          },
          "length " + std::to_string(length));
    }
  }
}

TEST_P(LossTest, WeightsOfImagesAgree) {
  RefBackend ref;
  CpuBackend cpu;
  for (const Shape& shape : {Shape{1, 5}, Shape{3, 17}, Shape{2, 100, 170}}) {
    const Tensor p = normal_tensor(shape, 1), t = normal_tensor(shape, 2);
    const Tensor weights = normal_tensor({shape[0]}, 3);
    for (LossKind kind : kKinds) {
      const double expected = loss(ref, kind, p, t, &weights);
      EXPECT_NEAR(loss(cpu, kind, p, t, &weights), expected,
                  test::Tolerance::kDoubleSum * loss(ref, kind, p, t));
      expect_agrees_with_ref(
          [&](Backend& on) {
            Tensor dp = unwritten(shape);
            on.run(op::LossBackward{.kind = kind,
                                    .prediction = p,
                                    .target = t,
                                    .weights = &weights,
                                    .upstream = 3,
                                    .dprediction = dp});
            return std::vector<Output>{{"dp", dp}};
          },
          shape.str());
    }
  }
}

TEST_P(LossTest, WeightsOfOneChangeNoBitOfTheGradient) {
  CpuBackend cpu;
  const Tensor p = normal_tensor({2, 20011}, 1), t = normal_tensor({2, 20011}, 2);
  const Tensor ones = Tensor::full({2}, 1);
  for (LossKind kind : kKinds) {
    Tensor without = unwritten(p.shape()), with = unwritten(p.shape());
    cpu.run(op::LossBackward{.kind = kind, .prediction = p, .target = t, .dprediction = without});
    cpu.run(op::LossBackward{
        .kind = kind, .prediction = p, .target = t, .weights = &ones, .dprediction = with});
    EXPECT_TRUE(same_bits(with, without));
  }
}

TEST_P(LossTest, EqualElementsHaveNoGradientAndNanKeepsIts) {
  CpuBackend cpu;
  const Tensor p = Tensor::full({17}, NAN), t = Tensor::full({17}, 2);
  Tensor dp({17});
  for (LossKind kind : kKinds) {
    cpu.run(op::LossBackward{
        .kind = kind, .prediction = t, .target = t, .upstream = 1, .dprediction = dp});
    EXPECT_EQ(dp.values(), std::vector<float>(17, 0.0f));
    cpu.run(op::LossBackward{
        .kind = kind, .prediction = p, .target = t, .upstream = 1, .dprediction = dp});
    for (float value : dp.values()) EXPECT_TRUE(std::isnan(value));
    EXPECT_TRUE(std::isnan(loss(cpu, kind, p, t)));
  }
}

TEST_P(LossTest, BitsDoNotDependOnTheThreadCount) {
  const Tensor p = normal_tensor({100003}, 1), t = normal_tensor({100003}, 2);
  CpuBackend cpu;
  for (LossKind kind : kKinds) {
    set_num_threads(1);
    const double expected = loss(cpu, kind, p, t);
    const double weighted = loss(cpu, kind, p, t, &p);
    for (int threads : {2, 3}) {
      set_num_threads(threads);
      EXPECT_EQ(loss(cpu, kind, p, t), expected);
      EXPECT_EQ(loss(cpu, kind, p, t, &p), weighted);
    }
  }
}

DDPM_FOR_EVERY_SIMD(LossTest);

}  // namespace
}  // namespace ddpm
