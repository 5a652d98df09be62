// The numbers are those of Philox; this file only shares them among threads.
#include <algorithm>

#include "ddpm/base/philox.h"
#include "ddpm/kernels/cpu/ops/cpu_backend.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

// x is [images, size].
void fill_normal(const uint64_t* seeds, uint64_t stream, int64_t images, int64_t size, float* x) {
  constexpr int64_t kChunk = 4096;  // a multiple of the generator's block of 4
  const int64_t chunks = ceil_div(size, kChunk);
  constexpr int64_t kCost = 64;  // of a number, in multiply-adds
  for_each_task(images * chunks, kCost * images * size, [&](int64_t task) {
    const int64_t n = task / chunks, first = task % chunks * kChunk;
    Philox(seeds[n], stream)
        .normal(static_cast<uint64_t>(first), std::min(kChunk, size - first), x + n * size + first);
  });
}

}  // namespace
}  // namespace ddpm::cpu

namespace ddpm {

void CpuBackend::run(const op::Normal& o) {
  const int64_t images = o.x.size(0);
  cpu::fill_normal(o.seeds.data(), o.stream, images, o.x.elements() / std::max<int64_t>(images, 1),
                   o.x.f32());
}

}  // namespace ddpm
