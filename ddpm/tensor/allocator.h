// Host memory, by a caching allocator: freed blocks are handed out again, so a loop of like
// steps goes to the system for memory in its first round only. Blocks are 64-byte aligned; blocks
// of 1 MiB and more lie in segments that are advised to use huge pages. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ddpm/tensor/memory.h"

namespace ddpm {

// The space of tensors that the host computes on.
Memory& host_memory();

struct AllocatorStats {
  int64_t system_allocations = 0;  // times that bytes were wanted which had never been used
  int64_t bytes_in_use = 0;        // handed out now, rounded to block sizes
  int64_t peak_bytes_in_use = 0;   // highest since reset_allocator_peak()
  int64_t bytes_reserved = 0;      // held from the system, in use or waiting
};

// What a tensor of so many bytes really takes: at least as many.
size_t block_size(size_t bytes);

// Throws SystemError (ENOMEM), naming the size, when the system has no memory left. The contents
// are undefined.
void* allocate_bytes(size_t bytes);
void release_bytes(void* block, size_t bytes) noexcept;

AllocatorStats allocator_stats();
void reset_allocator_peak();
// Gives waiting blocks back to the system.
void trim_allocator();

}  // namespace ddpm
