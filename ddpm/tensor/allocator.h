// Host memory from a caching allocator. Freed blocks are used again, so a loop of equal steps asks
// the system for memory only in its first iteration. Blocks are 64-byte aligned. Blocks of 1 MiB
// and more lie in segments that are advised to use huge pages. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ddpm/tensor/memory.h"

namespace ddpm {

// The memory space of tensors that the host computes on.
Memory& host_memory();

struct AllocatorStats {
  // How often the allocator had to take bytes that had never been used before.
  int64_t system_allocations = 0;
  // In blocks that are in use now, rounded to block sizes.
  int64_t bytes_in_use = 0;
  // The highest value of bytes_in_use since reset_allocator_peak().
  int64_t peak_bytes_in_use = 0;
  // Taken from the system, in use or free.
  int64_t bytes_reserved = 0;
};

// Blocks of at least this size lie in an Arena. Smaller ones wait in bins by size.
inline constexpr size_t kLargeBlock = size_t{1} << 20;
// The size of the block for a tensor of this many bytes. It is at least `bytes`.
size_t block_size(size_t bytes);

// Returns a block with undefined contents. Throws SystemError (ENOMEM), naming the size, if the
// system has no memory left.
void* allocate_bytes(size_t bytes);
void release_bytes(void* block, size_t bytes) noexcept;

AllocatorStats allocator_stats();
void reset_allocator_peak();
// Gives free blocks back to the system.
void trim_allocator();

}  // namespace ddpm
