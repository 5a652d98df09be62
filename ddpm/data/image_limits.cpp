// A file of a few hundred bytes can claim to hold a picture of gigabytes, and every core decodes a
// file at the same time. There are therefore limits for each file and for all files together.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>

#include "ddpm/base/error.h"
#include "ddpm/base/memory.h"
#include "ddpm/data/image_parts.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {
namespace {

std::mutex lease_mutex;
std::condition_variable lease_returned;
// In bytes. Guarded by lease_mutex.
int64_t leased = 0;

// Less than kDecodeMemory if the system has less memory.
int64_t shared_memory() {
  static const int64_t bytes = std::min(kDecodeMemory, available_memory().bytes / 2);
  return bytes;
}

// Throws SystemError, because the file is not at fault and must not be skipped.
void require_available(ImageSize size, int64_t bytes) {
  const AvailableMemory available = available_memory();
  if (bytes <= available.bytes) return;
  fail_system("image",
              fmt::format("a picture of {} x {} pixels takes {} MB to decode, and {} leaves {}",
                          size.height, size.width, bytes >> 20, available.limit,
                          memory_text(static_cast<double>(available.bytes))),
              ENOMEM);
}

}  // namespace

void require_few_pixels(ImageSize size) {
  if (size.height <= 0 || size.width <= 0)
    fail("image", fmt::format("a picture cannot have {} x {} pixels", size.height, size.width));
  if (size.height <= kMostPixels / size.width) return;
  fail("image", fmt::format("{} x {} pixels are more than the {} million that this program reads",
                            size.height, size.width, kMostPixels / 1000000));
}

MemoryLease::MemoryLease(ImageSize size, int64_t bytes) : bytes_(std::max<int64_t>(bytes, 0)) {
  if (bytes_ > kDecodeMemory) {
    fail("image", fmt::format("{} x {} pixels take {} MB to decode in this format, more than the "
                              "{} MB that decoding may take",
                              size.height, size.width, bytes_ >> 20, kDecodeMemory >> 20));
  }
  constexpr int64_t kLarge = int64_t{64} << 20;
  if (bytes_ >= kLarge) require_available(size, bytes_);
  std::unique_lock lock(lease_mutex);
  lease_returned.wait(lock, [&] { return leased == 0 || leased + bytes_ <= shared_memory(); });
  leased += bytes_;
}

MemoryLease::~MemoryLease() {
  // The allocator keeps freed tensors for reuse. With pictures of many sizes they would add up.
  constexpr int64_t kLarge = int64_t{32} << 20;
  if (bytes_ >= kLarge) trim_allocator();
  {
    const std::lock_guard lock(lease_mutex);
    leased -= bytes_;
  }
  lease_returned.notify_all();
}

}  // namespace ddpm
