// Noise: each row is its seed's stream from position 0 on.

#include <algorithm>

#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/kernels/ref/grain.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

void RefBackend::run(const op::Normal& o) {
  const int64_t images = o.x.size(0), size = o.x.elements() / std::max<int64_t>(images, 1);
  float* to = o.x.f32();
  parallel_for(images, ref::grain(64 * size), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      Philox(o.seeds[n], o.stream).normal(0, size, to + n * size);
    }
  });
}

}  // namespace ddpm
