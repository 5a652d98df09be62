#include "ddpm/tensor/dry_memory.h"

#include <gtest/gtest.h>

#include <thread>

#include "ddpm/base/error.h"
#include "ddpm/tensor/allocator.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {
namespace {

Tensor dry(int64_t elements) { return Tensor({elements}, DType::kFloat32, Device::kDry); }

TEST(DryMemory, CountsBlocksAsTheAllocatorGivesThem) {
  for (const int64_t elements : {0, 1, 100, 1000, 12345, 1 << 20}) {
    const DryMemory memory;
    const int64_t before = allocator_stats().bytes_in_use;
    const Tensor real({elements}), counted = dry(elements);
    EXPECT_EQ(memory.bytes_in_use(), allocator_stats().bytes_in_use - before) << elements;
  }
}

TEST(DryMemory, KnowsThePeak) {
  DryMemory memory;
  {
    const Tensor a = dry(1 << 20), b = dry(1 << 20), shared = a.reshape({1 << 10, 1 << 10});
    EXPECT_EQ(memory.bytes_in_use(), 8 << 20);
  }
  EXPECT_EQ(memory.bytes_in_use(), 0);
  EXPECT_EQ(memory.peak_bytes_in_use(), 8 << 20);
  memory.reset_peak();
  EXPECT_EQ(memory.peak_bytes_in_use(), 0);
}

// A block that is larger than the free ones takes new memory, even if there is as much free memory
// in parts.
TEST(DryMemory, CountsGapsBetweenBlocks) {
  const int64_t million = 1 << 20;  // elements: 4 MiB
  DryMemory memory;
  Tensor first = dry(million), between = dry(million), last = dry(million);
  EXPECT_EQ(memory.bytes_reserved(), 12 * million);
  first = Tensor();
  const Tensor half = dry(million / 2);
  EXPECT_EQ(memory.bytes_reserved(), 12 * million);
  const Tensor large = dry(3 * million);
  EXPECT_EQ(memory.bytes_reserved(), 24 * million);
  EXPECT_EQ(memory.peak_bytes_in_use(), 22 * million);
}

TEST(DryMemory, UsesSmallBlocksAgainForTheirSize) {
  DryMemory memory;
  dry(1000);
  dry(1000);
  EXPECT_EQ(memory.bytes_reserved(), static_cast<int64_t>(block_size(4000)));
  dry(2000);
  EXPECT_EQ(memory.bytes_reserved(), static_cast<int64_t>(block_size(4000) + block_size(8000)));
}

// The tensors are larger than the memory of any computer, but no memory is taken.
TEST(DryMemory, TensorsTakeNothing) {
  const AllocatorStats before = allocator_stats();
  DryMemory memory;
  const Tensor huge = dry(int64_t{1} << 50),
               zeros = Tensor::zeros({int64_t{1} << 50}, Device::kDry), copy = huge.clone();
  EXPECT_EQ(memory.bytes_in_use(), int64_t{3} << 52);
  EXPECT_EQ(allocator_stats().bytes_in_use, before.bytes_in_use);
  EXPECT_EQ(allocator_stats().system_allocations, before.system_allocations);
  EXPECT_THROW(huge.f32(), Error);
  EXPECT_NE(huge.identity(), copy.identity());
}

TEST(DryMemory, ASumBeyondAllMemoryIsAnError) {
  const DryMemory memory;
  EXPECT_THROW(dry(int64_t{1} << 59), Error);
  const Tensor half = dry(int64_t{1} << 57);
  const int64_t before = memory.bytes_in_use();
  EXPECT_THROW(dry(int64_t{3} << 56), Error);
  EXPECT_EQ(memory.bytes_in_use(), before);
}

TEST(DryMemory, TheInnermostOfAThreadCounts) {
  const DryMemory outer;
  const Tensor a = dry(1 << 20);
  Tensor b;
  {
    const DryMemory inner;
    b = dry(1 << 18);
    EXPECT_EQ(inner.bytes_in_use(), 1 << 20);
    // Not counted on that thread, and released on this one.
    std::thread([&] { b = dry(1 << 20); }).join();
    EXPECT_EQ(inner.bytes_in_use(), 0);
  }
  b = Tensor();
  EXPECT_EQ(outer.bytes_in_use(), 4 << 20);
}

}  // namespace
}  // namespace ddpm
