#include "ddpm/eval/copies.h"

#include <gtest/gtest.h>

#include "ddpm/base/philox.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

Tensor normal_set(uint64_t seed, int64_t count, int64_t width) {
  Tensor set({count, width});
  Philox(seed).normal(0, set.elements(), set.f32());
  return set;
}

TEST(NearCopies, AreThoseCloseToOneVectorAlone) {
  const Tensor real = normal_set(1, 300, 16);
  Tensor generated = normal_set(2, 40, 16);
  EXPECT_EQ(near_copies(generated, real).share(), 0);
  // Vector 7 is a copy, and vector 9 is one but for a little noise.
  generated.rows(7, 8).copy_from(real.rows(100, 101));
  for (int64_t d = 0; d < 16; ++d)
    generated.f32()[9 * 16 + d] = real.f32()[200 * 16 + d] + (d % 2 ? 0.1f : -0.1f);
  const NearCopies got = near_copies(generated, real);
  EXPECT_EQ(got.share(), 2.0 / 40);
  EXPECT_TRUE(got.is_copy(7));
  EXPECT_TRUE(got.is_copy(9));
  EXPECT_FALSE(got.is_copy(8));
  EXPECT_EQ(got.closest(2), (std::vector<int64_t>{7, 9}));
  EXPECT_EQ(got.neighbours.index(7, 0), 100);
  EXPECT_EQ(got.neighbours.index(9, 0), 200);
  EXPECT_EQ(got.neighbours.k, 6);
}

TEST(NearCopies, OfPicturesThatAreThereTwice) {
  Tensor real = normal_set(1, 100, 16);
  real.rows(3, 4).copy_from(real.rows(4, 5));
  EXPECT_TRUE(near_copies(real.rows(4, 5), real).is_copy(0));
  for (int64_t n = 5; n < 12; ++n) real.rows(n, n + 1).copy_from(real.rows(4, 5));
  EXPECT_TRUE(near_copies(real.rows(4, 5), real).is_copy(0));
  // Where all are equal there is nothing to learn.
  const Tensor same = Tensor::full({20, 4}, 0.5f);
  EXPECT_EQ(near_copies(same, same).share(), 0);
}

TEST(NearCopies, NeedSomeRealOnes) {
  const Tensor few = normal_set(1, 5, 4);
  EXPECT_NE(test::message_of([&] { near_copies(few, few); }).find("at least 6"), std::string::npos);
}

TEST(Duplicates, AreCountedOverAllParts) {
  Tensor pictures({4, 2, 2, 1}, DType::kUInt8);
  for (int i = 0; i < 16; ++i) pictures.u8()[i] = static_cast<uint8_t>(i);
  DuplicateCounter counter;
  counter.add(pictures);
  EXPECT_EQ(counter.duplicates(), 0);
  counter.add(pictures.rows(1, 3));
  EXPECT_EQ(counter.duplicates(), 2);
}

}  // namespace
}  // namespace ddpm
