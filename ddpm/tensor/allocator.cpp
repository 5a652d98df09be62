// Small blocks that are free wait in bins by size. There are eight sizes per power of two, so at
// most an eighth of a block is wasted, and tensors of slightly different shapes share blocks. Large
// blocks take most of the memory. They come from an Arena, where the bytes of a freed block can
// serve any other block.
#include "ddpm/tensor/allocator.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/tensor/arena.h"

namespace ddpm {
namespace {

constexpr size_t kCacheLine = 64;

struct Allocator {
  std::mutex mutex;
  // The small blocks that are free, by size.
  std::unordered_map<size_t, std::vector<void*>> waiting;
  Arena arena;
  AllocatorStats stats;
};

// Never destroyed: static tensors may be released after any destructor of ours.
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
  self.stats.bytes_reserved -= static_cast<int64_t>(self.arena.trim());
}

// Null if the system has no memory.
void* take_block(Allocator& self, size_t size) {
  void* block = nullptr;
  size_t new_bytes = 0;
  if (size >= kLargeBlock) {
    const Arena::Outcome outcome = self.arena.allocate(size);
    block = outcome.block;
    new_bytes = outcome.new_bytes;
  } else if (auto bin = self.waiting.find(size);
             bin != self.waiting.end() && !bin->second.empty()) {
    block = bin->second.back();
    bin->second.pop_back();
  } else {
    block = std::aligned_alloc(kCacheLine, size);
    if (block != nullptr) new_bytes = size;
  }
  if (new_bytes > 0) ++self.stats.system_allocations;
  self.stats.bytes_reserved += static_cast<int64_t>(new_bytes);
  return block;
}

class HostMemory final : public Memory {
 public:
  const char* name() const override { return "host"; }
  bool holds_values() const override { return true; }
  bool host_can_access() const override { return true; }
  void* allocate(size_t bytes) override { return allocate_bytes(bytes); }
  void release(void* block, size_t bytes) noexcept override { release_bytes(block, bytes); }
  void copy_from_host(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void copy_within(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void fill_zero(void* block, size_t bytes) override { std::memset(block, 0, bytes); }
};

}  // namespace

Memory& host_memory() {
  static HostMemory* const memory = new HostMemory;
  return *memory;
}

size_t block_size(size_t bytes) {
  if (bytes >= kLargeBlock) return Arena::rounded(bytes);
  if (bytes <= 8 * kCacheLine)
    return std::max(kCacheLine, (bytes + kCacheLine - 1) / kCacheLine * kCacheLine);
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

void* allocate_bytes(size_t bytes) {
  const size_t size = block_size(bytes);
  Allocator& self = allocator();
  const std::lock_guard lock(self.mutex);
  void* block = size < bytes ? nullptr : take_block(self, size);
  if (block == nullptr && size >= bytes) {
    free_waiting(self);
    block = take_block(self, size);
  }
  if (block == nullptr) {
    fail_system(
        "memory",
        fmt::format(
            "cannot get {:.1f} MiB from the system beside the {:.1f} MiB in use; use a smaller "
            "batch or network",
            static_cast<double>(bytes) / 1048576.0, self.stats.bytes_in_use / 1048576.0),
        ENOMEM);
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
  if (size >= kLargeBlock) {
    self.arena.release(block);
    return;
  }
  try {
    self.waiting[size].push_back(block);
  } catch (...) {
    // No memory to record the block in its bin: give it back to the system at once.
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
