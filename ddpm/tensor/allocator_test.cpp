#include "ddpm/tensor/allocator.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {
namespace {

TEST(Allocator, AFreedBlockIsHandedOutAgain) {
  { Tensor warm({1000, 1000}); }
  const int64_t before = allocator_stats().system_allocations;
  for (int i = 0; i < 10; ++i) {
    Tensor again({1000, 1000});
    Tensor similar({1000, 3});
    again.f32()[999999] = 1;
  }
  EXPECT_LE(allocator_stats().system_allocations, before + 1);
}

TEST(Allocator, CountsWhatIsInUse) {
  const int64_t before = allocator_stats().bytes_in_use;
  {
    Tensor t({256, 1024});
    EXPECT_GE(allocator_stats().bytes_in_use - before, 1 << 20);
    EXPECT_LE(allocator_stats().bytes_in_use - before, (1 << 20) * 9 / 8);
    EXPECT_GE(allocator_stats().peak_bytes_in_use, allocator_stats().bytes_in_use);
  }
  EXPECT_EQ(allocator_stats().bytes_in_use, before);
}

TEST(Allocator, BlocksAreAligned) {
  for (int64_t n : {1, 15, 17, 1000, 1 << 20, (1 << 20) + 1}) {
    Tensor t({n});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.f32()) % 64, 0u) << n;
  }
}

TEST(Allocator, AnImpossibleSizeIsAnError) { EXPECT_THROW(Tensor({int64_t{1} << 50}), Error); }

}  // namespace
}  // namespace ddpm
