#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

constexpr LossKind kKinds[] = {LossKind::kMse, LossKind::kL1, LossKind::kHuber};

class LossTest : public EverySimd {};

TEST_P(LossTest, AgreesForEveryLength) {
  RefBackend ref;
  CpuBackend cpu;
  for (int64_t length : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40001}) {
    const Tensor p = normal_tensor({length}, 1), t = normal_tensor({length}, 2);
    for (LossKind kind : kKinds) {
      const double expected = ref.loss(kind, p, t);
      EXPECT_NEAR(cpu.loss(kind, p, t), expected, 1e-13 * expected) << length;
      expect_agrees_with_ref(
          [&](Backend& on) {
            Tensor dp = unwritten({length});
            on.loss_backward(kind, p, t, 3, dp);
            return std::vector<Output>{{"dp", dp}};
          },
          "length " + std::to_string(length));
    }
  }
}

TEST_P(LossTest, EqualElementsHaveNoGradientAndNanKeepsIts) {
  CpuBackend cpu;
  const Tensor p = Tensor::full({17}, NAN), t = Tensor::full({17}, 2);
  Tensor dp({17});
  for (LossKind kind : kKinds) {
    cpu.loss_backward(kind, t, t, 1, dp);
    EXPECT_EQ(dp.values(), std::vector<float>(17, 0.0f));
    cpu.loss_backward(kind, p, t, 1, dp);
    for (float value : dp.values()) EXPECT_TRUE(std::isnan(value));
    EXPECT_TRUE(std::isnan(cpu.loss(kind, p, t)));
  }
}

TEST_P(LossTest, BitsDoNotDependOnTheThreadCount) {
  const Tensor p = normal_tensor({100003}, 1), t = normal_tensor({100003}, 2);
  CpuBackend cpu;
  for (LossKind kind : kKinds) {
    set_num_threads(1);
    const double expected = cpu.loss(kind, p, t);
    for (int threads : {2, 3}) {
      set_num_threads(threads);
      EXPECT_EQ(cpu.loss(kind, p, t), expected);
    }
  }
}

DDPM_FOR_EVERY_SIMD(LossTest);

}  // namespace
}  // namespace ddpm
