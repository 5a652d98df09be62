#include "ddpm/kernels/cpu/work/tasks.h"

#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm::cpu {

void for_each_task(int64_t count, const std::function<void(int64_t)>& run) {
  parallel_tasks(count, run);
}

int64_t even_tasks(int64_t count) {
  const int64_t threads = num_threads();
  return ceil_div(count, threads) * threads;
}

void add_parts(const float* partial, int64_t parts, int64_t stride, int64_t count, float* total) {
  constexpr int64_t kPiece = 4096;
  for_each_task(ceil_div(count, kPiece), parts * count, [&](int64_t task) {
    const int64_t begin = task * kPiece, end = std::min(count, begin + kPiece);
    for (int64_t i = begin; i < end; ++i) total[i] = partial[i];
    for (int64_t part = 1; part < parts; ++part) {
      for (int64_t i = begin; i < end; ++i) total[i] += partial[part * stride + i];
    }
  });
}

void* allocate_scratch(int64_t bytes) { return allocate_bytes(static_cast<size_t>(bytes)); }

void release_scratch(void* block, int64_t bytes) noexcept {
  release_bytes(block, static_cast<size_t>(bytes));
}

}  // namespace ddpm::cpu
