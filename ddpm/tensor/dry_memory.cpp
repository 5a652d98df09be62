#include "ddpm/tensor/dry_memory.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {

// Only the counting thread adds to the counter, but any thread may release a tensor.
struct DryMemory::Counter {
  std::atomic<int64_t> in_use{0};
  std::atomic<int64_t> peak{0};
};

namespace {

constexpr int64_t kBeyondAllMemory = int64_t{1} << 60;

thread_local std::shared_ptr<DryMemory::Counter> current;

}  // namespace

DryMemory::DryMemory()
    : counter_(std::make_shared<Counter>()), previous_(std::exchange(current, counter_)) {}

DryMemory::~DryMemory() { current = std::move(previous_); }

int64_t DryMemory::bytes_in_use() const { return counter_->in_use; }
int64_t DryMemory::peak_bytes_in_use() const { return counter_->peak; }
void DryMemory::reset_peak() { counter_->peak = counter_->in_use.load(); }

namespace {

// A block. Until it is released, its size is part of the counter of the thread that allocated it.
class Claim {
 public:
  explicit Claim(size_t bytes) : bytes_(static_cast<int64_t>(block_size(bytes))) {
    const int64_t before = current ? current->in_use.load() : 0;
    if (bytes_ < 0 || bytes_ > kBeyondAllMemory - before) {
      fail("memory",
           fmt::format("{} bytes beside {} are more than any computer has", bytes, before));
    }
    counter_ = current;
    if (!counter_) return;
    const int64_t sum = counter_->in_use += bytes_;
    counter_->peak = std::max(counter_->peak.load(), sum);
  }
  ~Claim() {
    if (counter_) counter_->in_use -= bytes_;
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  // Null if nobody counts.
  std::shared_ptr<DryMemory::Counter> counter_;
  int64_t bytes_;
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
