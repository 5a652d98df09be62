#include "ddpm/kernels/operations/describe.h"

#include <fmt/core.h>

namespace ddpm::op {

std::string extents(const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  std::string text;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    text += fmt::format("{}{}", axis ? "x" : "", shape[axis]);
  }
  return text;
}

std::string convolution(const Tensor& w, const Tensor& x) {
  return fmt::format("{}x{} {}->{} on {}x{}x{}", w.size(0), w.size(1), w.size(2), w.size(3),
                     x.size(0), x.size(1), x.size(2));
}

std::string product(const Tensor& w, const Tensor& x) {
  return fmt::format("{}->{} on {}", w.size(0), w.size(1), x.size(0));
}

double product_flops(int64_t rows, const Tensor& w) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(w.elements());
}

// w [kh, kw, C, K], y [N, P, Q, K]
double convolution_flops(const Tensor& w, const Tensor& y) {
  return product_flops(y.elements() / w.size(3), w);
}

}  // namespace ddpm::op
