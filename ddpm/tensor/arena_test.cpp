#include "ddpm/tensor/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace ddpm {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(Arena, AFreedBlockServesSmallerOnes) {
  Arena arena;
  void* large = arena.allocate(10 * kMiB).block;
  arena.release(large);
  const Arena::Outcome a = arena.allocate(6 * kMiB), b = arena.allocate(4 * kMiB);
  EXPECT_EQ(a.new_bytes + b.new_bytes, 0u);
  EXPECT_EQ(a.block, large);
}

TEST(Arena, FreeNeighboursMerge) {
  for (const std::vector<int>& order :
       {std::vector<int>{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}}) {
    Arena arena;
    void* blocks[3];
    for (void*& block : blocks) block = arena.allocate(3 * kMiB).block;
    void* guard = arena.allocate(kMiB).block;
    for (int i : order) arena.release(blocks[i]);
    const Arena::Outcome all = arena.allocate(9 * kMiB);
    EXPECT_EQ(all.new_bytes, 0u);
    EXPECT_EQ(all.block, blocks[0]);
    EXPECT_NE(all.block, guard);
  }
}

TEST(Arena, TakesTheSmallestBlockThatFits) {
  Arena arena;
  void* wide = arena.allocate(8 * kMiB).block;
  arena.allocate(kMiB);
  void* narrow = arena.allocate(3 * kMiB).block;
  arena.allocate(kMiB);
  arena.release(wide);
  arena.release(narrow);
  EXPECT_EQ(arena.allocate(2 * kMiB).block, narrow);
}

TEST(Arena, GrowsByWhatIsMissingOnly) {
  Arena arena;
  arena.allocate(kMiB);
  arena.release(arena.allocate(5 * kMiB).block);
  EXPECT_EQ(arena.allocate(7 * kMiB).new_bytes, 2 * kMiB);
}

TEST(Arena, TrimGivesBackWhatNobodyUses) {
  Arena arena;
  void* kept = arena.allocate(kMiB).block;
  void* own_segment = arena.allocate(300 * kMiB).block;
  EXPECT_EQ(arena.trim(), 0u);
  arena.release(own_segment);
  EXPECT_EQ(arena.trim(), 300 * kMiB);
  std::memset(kept, 1, kMiB);
  arena.release(kept);
  EXPECT_EQ(arena.trim(), kMiB);
  EXPECT_EQ(arena.allocate(kMiB).new_bytes, kMiB);
}

TEST(Arena, AnImpossibleSizeGivesNothing) {
  Arena arena;
  EXPECT_EQ(arena.allocate(size_t{1} << 55).block, nullptr);
  EXPECT_EQ(arena.allocate(SIZE_MAX - 100).block, nullptr);
}

TEST(Arena, BlocksNeverOverlap) {
  Arena arena;
  std::mt19937 random(1);
  struct Held {
    char* block;
    size_t bytes;
    char mark;
  };
  std::vector<Held> held;
  size_t in_use = 0, reserved = 0, peak = 0;
  for (int i = 0; i < 3000; ++i) {
    if (held.size() < 30 && random() % 2 == 0) {
      const size_t bytes = 1 + random() % (2 * kMiB);
      const Arena::Outcome outcome = arena.allocate(bytes);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(outcome.block) % 64, 0u);
      reserved += outcome.new_bytes;
      in_use += Arena::rounded(bytes);
      peak = std::max(peak, in_use);
      held.push_back({static_cast<char*>(outcome.block), bytes, static_cast<char>(i)});
      std::memset(outcome.block, held.back().mark, bytes);
    } else if (!held.empty()) {
      const size_t which = random() % held.size();
      const Held gone = held[which];
      ASSERT_EQ(std::count(gone.block, gone.block + gone.bytes, gone.mark),
                static_cast<int64_t>(gone.bytes));
      held.erase(held.begin() + static_cast<int64_t>(which));
      in_use -= Arena::rounded(gone.bytes);
      ASSERT_TRUE(arena.release(gone.block));
    }
  }
  EXPECT_LT(static_cast<double>(reserved), 1.5 * static_cast<double>(peak));
}

// In one segment, where the addresses of segments play no part.
TEST(Arena, OfImaginedSegmentsTakesAsMuch) {
  Arena real, imagined(Arena::Segments::kImagined);
  std::mt19937 random(3);
  std::vector<std::pair<void*, void*>> blocks;
  for (int i = 0; i < 2000; ++i) {
    if (random() % 5 < 2 && !blocks.empty()) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      real.release(blocks.back().first);
      imagined.release(blocks.back().second);
      blocks.pop_back();
    } else if (blocks.size() < 20) {
      const size_t bytes = (1 + random() % 80) * (kMiB / 8);
      const Arena::Outcome a = real.allocate(bytes), b = imagined.allocate(bytes);
      ASSERT_EQ(a.new_bytes, b.new_bytes);
      blocks.emplace_back(a.block, b.block);
    }
  }
  for (const auto& [a, b] : blocks) {
    real.release(a);
    imagined.release(b);
  }
  EXPECT_EQ(real.trim(), imagined.trim());
}

}  // namespace
}  // namespace ddpm
