#include "ddpm/autograd/checks.h"
#include "ddpm/autograd/functions.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {

Tensor sinusoidal_embedding(const Tensor& t, int64_t dim) {
  check_rank("sinusoidal_embedding", "t", t.shape(), 1);
  if (dim < 2 || dim % 2 != 0) {
    fail("sinusoidal_embedding", fmt::format("dim is {} but must be even and at least 2", dim));
  }
  Tensor y = beside(t, {t.size(0), dim});
  backend_for(y.device()).run(op::SinusoidalEmbedding{.t = t, .y = y});
  return y;
}

}  // namespace ddpm
