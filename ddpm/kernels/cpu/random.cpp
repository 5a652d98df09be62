// Noise: the numbers are Philox's own, so all there is to gain is threads.

#include <algorithm>

#include "ddpm/base/philox.h"
#include "ddpm/kernels/cpu/cpu_backend.h"
#include "ddpm/kernels/cpu/tasks.h"

namespace ddpm {

void CpuBackend::normal(const std::vector<uint64_t>& seeds, uint64_t stream, Tensor& x) {
  constexpr int64_t kChunk = 4096;  // a multiple of the generator's block of 4
  const int64_t images = x.size(0), size = x.elements() / std::max<int64_t>(images, 1);
  const int64_t chunks = cpu::ceil_div(size, kChunk);
  float* to = x.f32();
  constexpr int64_t kCost = 64;  // of a number, in multiply-adds
  cpu::for_each_task(images * chunks, kCost * x.elements(), [&](int64_t task) {
    const int64_t n = task / chunks, first = task % chunks * kChunk;
    Philox(seeds[n], stream)
        .normal(static_cast<uint64_t>(first), std::min(kChunk, size - first),
                to + n * size + first);
  });
}

}  // namespace ddpm
