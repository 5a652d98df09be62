#include "ddpm/kernels/cpu/work/phases.h"

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {

void for_each_image_in_phases(int64_t images, int64_t blocks, int64_t elements,
                              const std::function<void(int64_t, int64_t)>& reduce,
                              const std::function<void(int64_t)>& merge,
                              const std::function<void(int64_t, int64_t)>& apply) {
  const auto whole_image = [&](int64_t n) {
    for (int64_t block = 0; block < blocks; ++block) reduce(n, block);
    merge(n);
    for (int64_t block = 0; block < blocks; ++block) apply(n, block);
  };
  const int64_t threads = num_threads();
  if (elements <= kSerialElements) {
    for (int64_t n = 0; n < images; ++n) whole_image(n);
  } else if (blocks == 1 || images % threads == 0 || images >= 4 * threads) {
    for_each_task(images, whole_image);
  } else {
    for_each_task(images * blocks, [&](int64_t task) { reduce(task / blocks, task % blocks); });
    for_each_task(images, merge);
    for_each_task(images * blocks, [&](int64_t task) { apply(task / blocks, task % blocks); });
  }
}

}  // namespace ddpm::cpu
