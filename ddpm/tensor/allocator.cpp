// Block sizes are rounded up to an eighth of their power of two: at most an eighth is wasted and
// there are only eight bins per octave, so tensors of slightly different shapes share blocks.
#include "ddpm/tensor/allocator.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

size_t block_size(size_t bytes) {
  if (bytes <= 8 * kCacheLine)
    return std::max(kCacheLine, (bytes + kCacheLine - 1) / kCacheLine * kCacheLine);
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

struct Allocator {
  std::mutex mutex;
  std::unordered_map<size_t, std::vector<void*>> waiting;  // by block size
  AllocatorStats stats;
};

// Never destroyed: tensors with static lifetime may be released after any destructor of ours.
Allocator& allocator() {
  static Allocator* instance = new Allocator;
  return *instance;
}

void free_waiting(Allocator& self) {
  for (auto& [size, blocks] : self.waiting) {
    self.stats.bytes_reserved -= static_cast<int64_t>(size * blocks.size());
    for (void* block : blocks) std::free(block);
  }
  self.waiting.clear();
}

void* system_allocate(size_t size) {
  const size_t alignment = size >= kHugePage ? kHugePage : kCacheLine;
  void* block = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
#ifdef MADV_HUGEPAGE
  if (block != nullptr && size >= kHugePage) madvise(block, size, MADV_HUGEPAGE);
#endif
  return block;
}

}  // namespace

void* allocate_bytes(size_t bytes) {
  const size_t size = block_size(bytes);
  Allocator& self = allocator();
  const std::lock_guard lock(self.mutex);
  void* block = nullptr;
  auto bin = self.waiting.find(size);
  if (bin != self.waiting.end() && !bin->second.empty()) {
    block = bin->second.back();
    bin->second.pop_back();
  } else {
    block = system_allocate(size);
    if (block == nullptr) {
      free_waiting(self);
      block = system_allocate(size);
    }
    if (block == nullptr) {
      fail("memory",
           fmt::format(
               "the system has no {:.1f} MiB left beside the {:.1f} MiB in use; a smaller batch or "
               "network needs less",
               size / 1048576.0, self.stats.bytes_in_use / 1048576.0));
    }
    ++self.stats.system_allocations;
    self.stats.bytes_reserved += static_cast<int64_t>(size);
  }
  self.stats.bytes_in_use += static_cast<int64_t>(size);
  self.stats.peak_bytes_in_use = std::max(self.stats.peak_bytes_in_use, self.stats.bytes_in_use);
  return block;
}

void release_bytes(void* block, size_t bytes) noexcept {
  if (block == nullptr) return;
  const size_t size = block_size(bytes);
  Allocator& self = allocator();
  const std::lock_guard lock(self.mutex);
  self.stats.bytes_in_use -= static_cast<int64_t>(size);
  try {
    self.waiting[size].push_back(block);
  } catch (...) {  // no memory to remember the block: give it back at once
    self.stats.bytes_reserved -= static_cast<int64_t>(size);
    std::free(block);
  }
}

AllocatorStats allocator_stats() {
  const std::lock_guard lock(allocator().mutex);
  return allocator().stats;
}

void reset_allocator_peak() {
  const std::lock_guard lock(allocator().mutex);
  allocator().stats.peak_bytes_in_use = allocator().stats.bytes_in_use;
}

void trim_allocator() {
  const std::lock_guard lock(allocator().mutex);
  free_waiting(allocator());
}

}  // namespace ddpm
