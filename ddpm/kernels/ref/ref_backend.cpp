#include "ddpm/kernels/ref/ref_backend.h"

#include <algorithm>

namespace ddpm {

int64_t RefBackend::images_at_once(const Shape& widest) const {
  constexpr int64_t kBytes = int64_t{16} << 20;
  const int64_t bytes = widest.elements() * size_of(DType::kFloat32);
  return std::max<int64_t>(1, kBytes / std::max<int64_t>(1, bytes));
}

}  // namespace ddpm
