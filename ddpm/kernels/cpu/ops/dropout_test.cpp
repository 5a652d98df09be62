#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

const std::vector<uint64_t> kSeeds = {0, 77, 0xFEDCBA9876543210u};

std::vector<Output> dropped(Backend& on, const Tensor& x, double rate, uint64_t stream,
                            const std::vector<uint64_t>& seeds) {
  Tensor y = unwritten(x.shape());
  on.run(op::Dropout{.rate = rate, .seeds = seeds, .stream = stream, .x = x, .y = y});
  Tensor in_place = x.clone();
  on.run(op::Dropout{.rate = rate, .seeds = seeds, .stream = stream, .x = in_place, .y = in_place});
  EXPECT_TRUE(same_bits(in_place, y));
  return {{"y", y}};
}

class DropoutTest : public EverySimd {};

TEST_P(DropoutTest, HasTheBitsOfRef) {
  for (int64_t size = 1; size <= 70; ++size) {
    for (const double rate : {0.0, 0.1, 0.5, 0.999}) {
      const Tensor x = normal_tensor({3, size}, 1);
      expect_agrees_with_ref(
          [&](Backend& on) { return dropped(on, x, rate, uint64_t{1} << 40, kSeeds); },
          std::to_string(size) + " elements", test::Tolerance::kMove);
    }
  }
  const Tensor x = normal_tensor({3, 9001}, 1);
  expect_agrees_with_ref([&](Backend& on) { return dropped(on, x, 0.3, 5, kSeeds); }, "many",
                         test::Tolerance::kMove);
}

TEST_P(DropoutTest, TheShareAndTheMeanAreRight) {
  const Tensor x = Tensor::full({3, 40000}, 1);
  CpuBackend cpu;
  const Tensor y = dropped(cpu, x, 0.3, 5, kSeeds)[0].tensor;
  double sum = 0, zeros = 0;
  for (const float value : y.values()) sum += value, zeros += value == 0;
  const auto count = static_cast<double>(y.elements());
  EXPECT_NEAR(zeros / count, 0.3, 5 * std::sqrt(0.3 * 0.7 / count));
  EXPECT_NEAR(sum / count, 1, 5 * std::sqrt(0.3 / 0.7 / count));
}

TEST_P(DropoutTest, BitsDoNotDependOnThreadsOrBatch) {
  const Tensor x = normal_tensor({3, 40, 30, 20}, 1);
  expect_same_bits_for_any_thread_count(
      [&](Backend& on) { return dropped(on, x, 0.3, 5, kSeeds); });
  expect_same_bits_for_any_batch(3, [&](Backend& on, int64_t begin, int64_t end) {
    return dropped(on, x.rows(begin, end), 0.3, 5, {kSeeds.begin() + begin, kSeeds.begin() + end});
  });
}

DDPM_FOR_EVERY_SIMD(DropoutTest);

}  // namespace
}  // namespace ddpm
