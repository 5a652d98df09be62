#include "ddpm/tensor/tensor.h"

#include <gtest/gtest.h>

#include <limits>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

TEST(Shape, KnowsItsElementsAndText) {
  EXPECT_EQ((Shape{2, 3, 4}).elements(), 24);
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{2, 3}).str(), "[2, 3]");
  EXPECT_EQ((Shape{2, 3})[-1], 3);
  EXPECT_THROW((Shape{2, 3})[2], Error);
  EXPECT_THROW((Shape{2, -3}), Error);
}

// No product of some of the extents overflows, even if another extent is zero.
TEST(Shape, SizesThatOverflowAreRefused) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_NO_THROW((Shape{Shape::kMaxElements}));
  EXPECT_NO_THROW((Shape{0, 1 << 20, 1 << 20, 1 << 19}));
  const std::vector<int64_t> bad[] = {{kMax},
                                      {Shape::kMaxElements + 1},
                                      {int64_t{1} << 31, int64_t{1} << 31},
                                      {int64_t{1} << 32, int64_t{1} << 32},
                                      {int64_t{1} << 62, 4},
                                      {0, int64_t{1} << 40, int64_t{1} << 40},
                                      {1 << 16, 1 << 16, 1 << 16, 1 << 16, 1 << 16, 1 << 16},
                                      {-1},
                                      {std::numeric_limits<int64_t>::min(), 2}};
  for (const std::vector<int64_t>& extents : bad) {
    EXPECT_THROW(Shape(extents.data(), static_cast<int>(extents.size())), Error) << extents[0];
  }
}

TEST(Tensor, ReshapeSharesAndCloneDoesNot) {
  Tensor a = Tensor::of({2, 2}, {1, 2, 3, 4});
  Tensor view = a.reshape({4});
  Tensor copy = a.clone();
  view.f32()[0] = 9;
  EXPECT_EQ(a.values()[0], 9);
  EXPECT_EQ(copy.values()[0], 1);
  EXPECT_FALSE(a.unique());
  EXPECT_TRUE(copy.unique());
  EXPECT_THROW(a.reshape({3}), Error);
}

TEST(Tensor, RowsAreAView) {
  Tensor a = Tensor::of({3, 2}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(a.rows(1, 3).values(), (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(a.rows(1, 3).rows(1, 2).values(), (std::vector<float>{5, 6}));
  EXPECT_THROW(a.rows(2, 4), Error);
}

TEST(Tensor, ToSharesStorageWhereTheMemoryIsTheSame) {
  Tensor a = Tensor::of({2}, {1, 2});
  Tensor view = a.to(Device::kRef);
  EXPECT_EQ(view.device(), Device::kRef);
  EXPECT_EQ(view.identity(), a.identity());
  view.f32()[0] = 9;
  EXPECT_EQ(a.values()[0], 9);
  EXPECT_FALSE(Tensor().to(Device::kDry).defined());
}

TEST(Tensor, ToAnotherMemoryTakesItsOwnStorage) {
  const Tensor a = Tensor::of({2, 2}, {1, 2, 3, 4});
  const Tensor counted = a.to(Device::kDry);
  EXPECT_EQ(counted.device(), Device::kDry);
  EXPECT_EQ(counted.shape(), a.shape());
  EXPECT_TRUE(a.unique());
  EXPECT_THROW(counted.values(), Error);
  EXPECT_THROW(counted.to(Device::kCpu), Error);
}

TEST(Tensor, ACopyOntoItselfChangesNothing) {
  Tensor a = Tensor::of({2}, {1, 2});
  a.copy_from(a.to(Device::kRef));
  EXPECT_EQ(a.values(), (std::vector<float>{1, 2}));
}

TEST(Tensor, TypesAreChecked) {
  Tensor bytes({4}, DType::kUInt8);
  EXPECT_THROW(bytes.f32(), Error);
  EXPECT_THROW(Tensor().f32(), Error);
  EXPECT_THROW(Tensor::of({3}, {1, 2}), Error);
  EXPECT_THROW(bytes.copy_from(Tensor({4})), Error);
}

}  // namespace
}  // namespace ddpm
