#include "ddpm/tensor/dry_memory.h"

#include <fmt/core.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/tensor/allocator.h"
#include "ddpm/tensor/arena.h"

namespace ddpm {
namespace {

// The blocks that the allocator would hand out. They have no bytes.
class ImaginedBlocks {
 public:
  // Null for a small block.
  void* take(size_t size) {
    if (size < kLargeBlock) {
      int64_t& free = free_small_[size];
      if (free > 0)
        --free;
      else
        reserved_ += static_cast<int64_t>(size);
      return nullptr;
    }
    const Arena::Outcome outcome = arena_.allocate(size);
    reserved_ += static_cast<int64_t>(outcome.block == nullptr ? size : outcome.new_bytes);
    return outcome.block;
  }
  void give_back(void* block, size_t size) noexcept {
    if (block != nullptr)
      arena_.release(block);
    else if (const auto bin = free_small_.find(size); bin != free_small_.end())
      ++bin->second;
  }
  int64_t reserved() const { return reserved_; }

 private:
  // The number of small blocks that are free, by size.
  std::unordered_map<size_t, int64_t> free_small_;
  Arena arena_{Arena::Segments::kImagined};
  int64_t reserved_ = 0;
};

}  // namespace

// Only the counting thread adds to the counter, but any thread may release a tensor.
class DryMemory::Counter {
 public:
  // Null for a small block.
  void* add(size_t size) {
    const std::lock_guard lock(mutex_);
    in_use_ += static_cast<int64_t>(size);
    peak_ = std::max(peak_, in_use_);
    return blocks_.take(size);
  }
  void remove(void* block, size_t size) noexcept {
    const std::lock_guard lock(mutex_);
    in_use_ -= static_cast<int64_t>(size);
    blocks_.give_back(block, size);
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    peak_ = in_use_;
  }
  int64_t in_use() const { return locked(in_use_); }
  int64_t peak() const { return locked(peak_); }
  int64_t reserved() const {
    const std::lock_guard lock(mutex_);
    return blocks_.reserved();
  }

 private:
  int64_t locked(const int64_t& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  mutable std::mutex mutex_;
  int64_t in_use_ = 0, peak_ = 0;
  ImaginedBlocks blocks_;
};

namespace {

constexpr int64_t kBeyondAllMemory = int64_t{1} << 60;

thread_local std::shared_ptr<DryMemory::Counter> current;

}  // namespace

DryMemory::DryMemory()
    : counter_(std::make_shared<Counter>()), previous_(std::exchange(current, counter_)) {}

DryMemory::~DryMemory() { current = std::move(previous_); }

int64_t DryMemory::bytes_in_use() const { return counter_->in_use(); }
int64_t DryMemory::peak_bytes_in_use() const { return counter_->peak(); }
int64_t DryMemory::bytes_reserved() const { return counter_->reserved(); }
void DryMemory::reset_peak() { counter_->reset_peak(); }

namespace {

// A block. Until it is released, its size is part of the counter of the thread that allocated it.
class Claim {
 public:
  explicit Claim(size_t bytes) : bytes_(static_cast<int64_t>(block_size(bytes))) {
    const int64_t before = current ? current->in_use() : 0;
    if (bytes_ < 0 || bytes_ > kBeyondAllMemory - before) {
      fail("memory",
           fmt::format("{} bytes beside {} are more than any computer has", bytes, before));
    }
    if (current) block_ = current->add(static_cast<size_t>(bytes_));
    counter_ = current;
  }
  ~Claim() {
    if (counter_) counter_->remove(block_, static_cast<size_t>(bytes_));
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  // Null if nobody counts.
  std::shared_ptr<DryMemory::Counter> counter_;
  int64_t bytes_;
  void* block_ = nullptr;
};

class CountedMemory final : public Memory {
 public:
  const char* name() const override { return "counted"; }
  bool holds_values() const override { return false; }
  bool host_can_access() const override { return false; }
  void* allocate(size_t bytes) override { return new Claim(bytes); }
  void release(void* block, size_t) noexcept override { delete static_cast<Claim*>(block); }
  void copy_from_host(void*, const void*, size_t) override {}
  void copy_to_host(void*, const void*, size_t) override {}
  void copy_within(void*, const void*, size_t) override {}
  void fill_zero(void*, size_t) override {}
};

}  // namespace

Memory& counted_memory() {
  static CountedMemory* const memory = new CountedMemory;
  return *memory;
}

}  // namespace ddpm
