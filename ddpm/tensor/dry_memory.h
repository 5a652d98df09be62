// What tensors on Device::kDry would take. They take no memory themselves; while a DryMemory lives,
// those made on its thread are added up, each as the block that the allocator would give it.
#pragma once

#include <cstdint>
#include <memory>

namespace ddpm {

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

// For tensors: the memory of one of so many bytes, counted from construction to destruction.
class DryClaim {
 public:
  // Throws Error where the sum passes any memory that there could be.
  explicit DryClaim(size_t bytes);
  ~DryClaim();
  DryClaim(const DryClaim&) = delete;
  DryClaim& operator=(const DryClaim&) = delete;

 private:
  std::shared_ptr<DryMemory::Counter> counter_;  // null: nobody counts
  int64_t bytes_ = 0;
};

}  // namespace ddpm
