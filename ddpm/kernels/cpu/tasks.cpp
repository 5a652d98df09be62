#include "ddpm/kernels/cpu/tasks.h"

#include <algorithm>

#include "ddpm/base/threads.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm::cpu {

void for_each_task(int64_t count, const std::function<void(int64_t)>& run) {
  parallel_tasks(count, run);
}

Scratch::Scratch(int64_t bytes)
    : block_(allocate_bytes(static_cast<size_t>(std::max<int64_t>(bytes, 1)))),
      bytes_(std::max<int64_t>(bytes, 1)) {}

Scratch::~Scratch() { release_bytes(block_, static_cast<size_t>(bytes_)); }

}  // namespace ddpm::cpu
