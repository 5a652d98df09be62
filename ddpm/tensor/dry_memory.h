// Memory that is counted and not taken: what tensors on Device::kDry would take. While a DryMemory
// lives, those made on its thread are added up, each as the block that the allocator of host memory
// would give it. Other threads, and what is really in use, are neither counted nor touched.
#pragma once

#include <cstdint>
#include <memory>

#include "ddpm/tensor/memory.h"

namespace ddpm {

// Blocks without bytes. allocate() throws Error where the sum passes any memory that there could
// be.
Memory& counted_memory();

class DryMemory {
 public:
  struct Counter;

  DryMemory();
  ~DryMemory();
  DryMemory(const DryMemory&) = delete;
  DryMemory& operator=(const DryMemory&) = delete;

  // Bytes of the tensors alive now, and the most since the last reset_peak().
  int64_t bytes_in_use() const;
  int64_t peak_bytes_in_use() const;
  void reset_peak();

 private:
  std::shared_ptr<Counter> counter_;
  std::shared_ptr<Counter> previous_;
};

}  // namespace ddpm
