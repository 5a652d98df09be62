#include <gtest/gtest.h>

#include <limits>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;
constexpr float kInf = std::numeric_limits<float>::infinity();

class ElementwiseTest : public EverySimd {};

// Compares values and slopes with ref at many points. The bound of the values is relative, as far
// as they are not tiny; that of the slopes is absolute, because they pass through zero.
void sweep(Activation kind, float low, float high, double value_bound, double slope_bound) {
  constexpr int64_t kCount = 20001;
  Tensor x({kCount});
  for (int64_t i = 0; i < kCount; ++i) {
    x.f32()[i] = low + (high - low) * static_cast<float>(i) / (kCount - 1);
  }
  const Tensor one = Tensor::full({kCount}, 1);
  RefBackend ref;
  CpuBackend cpu;
  Tensor y({kCount}), expected({kCount}), slope({kCount}), expected_slope({kCount});
  cpu.run(op::Activate{.kind = kind, .x = x, .y = y});
  ref.run(op::Activate{.kind = kind, .x = x, .y = expected});
  cpu.run(op::ActivateBackward{.kind = kind, .dy = one, .x = x, .dx = slope});
  ref.run(op::ActivateBackward{.kind = kind, .dy = one, .x = x, .dx = expected_slope});
  for (int64_t i = 0; i < kCount; ++i) {
    ASSERT_NEAR(y.f32()[i], expected.f32()[i], std::abs(expected.f32()[i]) * value_bound + 1e-36)
        << "at " << x.f32()[i];
    ASSERT_NEAR(slope.f32()[i], expected_slope.f32()[i], slope_bound) << "at " << x.f32()[i];
  }
}

TEST_P(ElementwiseTest, SiluIsGoodToAFewLastBitsEverywhere) {
  sweep(Activation::kSilu, -10, 10, 3e-7, 4e-7);
  sweep(Activation::kSilu, -87, 87, 3e-7, 4e-7);
  sweep(Activation::kSilu, -1e-3f, 1e-3f, 3e-7, 4e-7);
}

TEST_P(ElementwiseTest, GeluIsGoodToAFewLastBitsEverywhere) {
  // Without fused multiply-adds the baseline target cannot correct the rounding error of x^2.
  const double tail = GetParam() == Simd::kBaseline ? 5e-6 : 6e-7;
  sweep(Activation::kGelu, -2, 4, 6e-7, 4e-7);
  sweep(Activation::kGelu, -12.5, 20, tail, 4e-7);
  sweep(Activation::kGelu, -1e-3f, 1e-3f, 6e-7, 4e-7);
}

TEST_P(ElementwiseTest, ActivationsTakeTheirLimitsAndKeepNan) {
  CpuBackend cpu;
  const std::vector<float> points = {-kInf, -3e38f, -1e4f, -100, 100, 1e4f, 3e38f, kInf, NAN};
  const std::vector<float> values = {0, 0, 0, 0, 100, 1e4f, 3e38f, kInf};
  const std::vector<float> slopes = {0, 0, 0, 0, 1, 1, 1, 1};
  for (Activation kind : {Activation::kSilu, Activation::kGelu}) {
    const Tensor x = Tensor::of({9}, points), one = Tensor::full({9}, 1);
    Tensor y({9}), slope({9});
    cpu.run(op::Activate{.kind = kind, .x = x, .y = y});
    cpu.run(op::ActivateBackward{.kind = kind, .dy = one, .x = x, .dx = slope});
    for (int i = 0; i < 8; ++i) {
      // The first comparison is for infinities, whose difference is NaN.
      EXPECT_TRUE(y.f32()[i] == values[i] || std::abs(y.f32()[i] - values[i]) < 1e-35)
          << points[i] << " gives " << y.f32()[i];
      EXPECT_NEAR(slope.f32()[i], slopes[i], 1e-34) << points[i];
    }
    EXPECT_TRUE(std::isnan(y.f32()[8]));
    EXPECT_TRUE(std::isnan(slope.f32()[8]));
  }
}

// Every length around a vector, at every offset from alignment; nothing is written outside.
TEST_P(ElementwiseTest, EveryLengthAndMisalignmentAgrees) {
  const Tensor a = normal_tensor({64}, 1), b = normal_tensor({64}, 2);
  for (int64_t length = 1; length <= 33; ++length) {
    for (int64_t offset : {0, 1, 3}) {
      const auto part = [&](const Tensor& t) { return t.rows(offset, offset + length); };
      const auto guarded = [&](const std::function<void(Backend&, Tensor&)>& run) {
        return [&, run](Backend& backend) {
          Tensor whole = Tensor::full({64}, 7), y = part(whole);
          run(backend, y);
          return std::vector<Output>{{"y", whole}};
        };
      };
      const std::string what = "length " + std::to_string(length) + " at " + std::to_string(offset);
      for (Activation kind : {Activation::kSilu, Activation::kGelu}) {
        expect_agrees_with_ref(guarded([&](Backend& on, Tensor& y) {
                                 on.run(op::Activate{.kind = kind, .x = part(a), .y = y});
                               }),
                               what);
        expect_agrees_with_ref(
            guarded([&](Backend& on, Tensor& y) {
              on.run(op::ActivateBackward{.kind = kind, .dy = part(a), .x = part(b), .dx = y});
            }),
            what);
      }
      expect_agrees_with_ref(guarded([&](Backend& on, Tensor& y) {
                               on.run(op::Add{.a = part(a), .b = part(b), .y = y});
                             }),
                             what, test::Tolerance::kMove);
      expect_agrees_with_ref(guarded([&](Backend& on, Tensor& y) {
                               y.copy_from(part(a));
                               on.run(op::Clamp{.low = -0.5f, .high = 0.25f, .x = y});
                             }),
                             what, test::Tolerance::kMove);
    }
  }
}

TEST_P(ElementwiseTest, ClampKeepsNan) {
  CpuBackend cpu;
  Tensor x = Tensor::full({9}, NAN);
  cpu.run(op::Clamp{.low = -1, .high = 1, .x = x});
  for (float value : x.values()) EXPECT_TRUE(std::isnan(value));
}

TEST_P(ElementwiseTest, CombineAgreesAndMayWriteOverAnInput) {
  for (int64_t size : {1, 7, 8, 19, 64}) {
    for (size_t terms = 1; terms <= 3; ++terms) {
      expect_agrees_with_ref(
          [&](Backend& on) {
            std::vector<Tensor> inputs;
            std::vector<const Tensor*> pointers;
            std::vector<std::vector<float>> factors;
            for (size_t i = 0; i < terms; ++i) inputs.push_back(normal_tensor({3, size}, i));
            for (size_t i = 0; i < terms; ++i) {
              pointers.push_back(&inputs[i]);
              factors.push_back({0.5f + static_cast<float>(i), -2, 0.1f});
            }
            on.run(op::Combine{.inputs = pointers, .coefficients = factors, .y = inputs[0]});
            return std::vector<Output>{{"y", inputs[0]}};
          },
          "size " + std::to_string(size));
    }
  }
}

TEST_P(ElementwiseTest, BitsDoNotDependOnTheThreadCount) {
  const Tensor x = normal_tensor({50001}, 1);
  expect_same_bits_for_any_thread_count([&](Backend& on) {
    Tensor y = unwritten(x.shape()), dx = unwritten(x.shape());
    on.run(op::Activate{.kind = Activation::kSilu, .x = x, .y = y});
    on.run(op::ActivateBackward{.kind = Activation::kGelu, .dy = x, .x = x, .dx = dx});
    return std::vector<Output>{{"y", y}, {"dx", dx}};
  });
}

DDPM_FOR_EVERY_SIMD(ElementwiseTest);

}  // namespace
}  // namespace ddpm
