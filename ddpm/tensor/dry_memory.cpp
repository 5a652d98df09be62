#include "ddpm/tensor/dry_memory.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {

// Only the thread that counts adds, but a tensor may end on any.
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

DryClaim::DryClaim(size_t bytes) : bytes_(static_cast<int64_t>(block_size(bytes))) {
  const int64_t before = current ? current->in_use.load() : 0;
  if (bytes_ < 0 || bytes_ > kBeyondAllMemory - before) {
    fail("memory", fmt::format("{} bytes beside {} are more than any memory holds", bytes, before));
  }
  counter_ = current;
  if (!counter_) return;
  const int64_t sum = counter_->in_use += bytes_;
  counter_->peak = std::max(counter_->peak.load(), sum);
}

DryClaim::~DryClaim() {
  if (counter_) counter_->in_use -= bytes_;
}

}  // namespace ddpm
