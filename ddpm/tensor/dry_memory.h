// Counts the memory that tensors on Device::kDry would need, without taking it. While a DryMemory
// exists, it adds up the tensors made on its thread. Each counts with the size of the block that
// the allocator of host memory would give it. Tensors of other threads are not counted. Memory that
// is really in use is neither counted nor changed.
#pragma once

#include <cstdint>
#include <memory>

#include "ddpm/tensor/memory.h"

namespace ddpm {

// The memory space of Device::kDry. Its blocks have no bytes. allocate() throws Error if the sum is
// larger than the memory of any computer.
Memory& counted_memory();

class DryMemory {
 public:
  class Counter;

  DryMemory();
  ~DryMemory();
  DryMemory(const DryMemory&) = delete;
  DryMemory& operator=(const DryMemory&) = delete;

  // The bytes of the tensors that exist now, and the maximum since the last reset_peak().
  int64_t bytes_in_use() const;
  int64_t peak_bytes_in_use() const;
  void reset_peak();
  // What the allocator of host memory would have taken from the system for the same tensors, in the
  // same order. It is more than the peak, because free blocks are not always of the right size. The
  // allocator never gives memory back by itself, so this never falls.
  int64_t bytes_reserved() const;

 private:
  std::shared_ptr<Counter> counter_;
  std::shared_ptr<Counter> previous_;
};

}  // namespace ddpm
