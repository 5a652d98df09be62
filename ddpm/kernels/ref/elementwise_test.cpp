#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using Values = std::vector<float>;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kMax = std::numeric_limits<float>::max();

Tensor row(const Values& values) {
  return Tensor::of({static_cast<int64_t>(values.size())}, values);
}

Values apply(Activation kind, const Values& x) {
  RefBackend ref;
  Tensor y = row(x);
  ref.run(op::Activate{.kind = kind, .x = row(x), .y = y});
  return y.values();
}

Values slope(Activation kind, const Values& x) {
  RefBackend ref;
  Tensor dx = row(x);
  ref.run(
      op::ActivateBackward{.kind = kind, .dy = row(Values(x.size(), 1)), .x = row(x), .dx = dx});
  return dx.values();
}

TEST(RefActivation, KnownValues) {
  EXPECT_FLOAT_EQ(apply(Activation::kSilu, {1})[0], 0.7310585786f);
  EXPECT_FLOAT_EQ(apply(Activation::kSilu, {-2})[0], -0.2384058440f);
  EXPECT_FLOAT_EQ(apply(Activation::kGelu, {1})[0], 0.8413447461f);
  EXPECT_FLOAT_EQ(apply(Activation::kGelu, {-2})[0], -0.0455002639f);
  EXPECT_FLOAT_EQ(slope(Activation::kSilu, {1})[0], 0.9276705118f);
  EXPECT_FLOAT_EQ(slope(Activation::kGelu, {1})[0], 1.0833154706f);
  EXPECT_EQ(slope(Activation::kSilu, {0}), Values{0.5});
  EXPECT_EQ(slope(Activation::kGelu, {0}), Values{0.5});
}

TEST(RefActivation, TakesItsLimitsFarOut) {
  for (const Activation kind : {Activation::kSilu, Activation::kGelu}) {
    EXPECT_EQ(apply(kind, {-kInf, -kMax, -1000, 1000, kMax, kInf}),
              (Values{0, 0, 0, 1000, kMax, kInf}));
    EXPECT_EQ(slope(kind, {-kInf, -kMax, -1000, 1000, kMax, kInf}), (Values{0, 0, 0, 1, 1, 1}));
    EXPECT_TRUE(std::isnan(apply(kind, {NAN})[0]));
    EXPECT_TRUE(std::isnan(slope(kind, {NAN})[0]));
  }
}

TEST(RefElementwise, AddMayWriteOverItsInput) {
  RefBackend ref;
  Tensor a = row({1, 2}), b = row({10, 20});
  ref.run(op::Add{.a = a, .b = b, .y = b});
  EXPECT_EQ(b.values(), (Values{11, 22}));
}

TEST(RefElementwise, CombineHasOneCoefficientPerImage) {
  RefBackend ref;
  Tensor a = Tensor::of({2, 2}, {1, 2, 3, 4});
  const Tensor b = Tensor::of({2, 2}, {5, 6, 7, 8});
  ref.run(op::Combine{.inputs = {&a, &b}, .coefficients = {{1, 2}, {10, 100}}, .y = a});
  EXPECT_EQ(a.values(), (Values{51, 62, 706, 808}));
}

TEST(RefElementwise, ClampKeepsNan) {
  RefBackend ref;
  Tensor x = row({-3, 0.5, 3, NAN, kInf});
  ref.run(op::Clamp{.low = -1, .high = 1, .x = x});
  const Values values = x.values();
  EXPECT_EQ((Values{values[0], values[1], values[2], values[4]}), (Values{-1, 0.5, 1, 1}));
  EXPECT_TRUE(std::isnan(values[3]));
}

TEST(RefElementwise, AddToChannelsTakesOneValueForEachChannelOfAnImage) {
  RefBackend ref;
  Tensor x = Tensor::of({2, 1, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  ref.run(op::AddToChannels{.factor = 2, .values = Tensor::of({2, 2}, {1, 2, 3, 4}), .x = x});
  EXPECT_EQ(x.values(), (std::vector<float>{3, 6, 5, 8, 11, 14, 13, 16}));
}

}  // namespace
}  // namespace ddpm
