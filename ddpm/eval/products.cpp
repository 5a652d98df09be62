// The products of a block are one call of the backend's matrix product, which divides its work
// among the threads itself. The rows of the result are then visited in parallel.
#include "ddpm/eval/products.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

// A block of results has 2048 x 1024 floats: 8 MiB.
constexpr int64_t kRows = 2048, kColumns = 1024;

// [M, D] -> [D, M]
Tensor transposed(const Tensor& x) {
  const int64_t rows = x.size(0), width = x.size(1);
  Tensor out({width, rows});
  const float* from = x.f32();
  float* to = out.f32();
  parallel_for(width, 16, [&](int64_t begin, int64_t end) {
    for (int64_t d = begin; d < end; ++d) {
      for (int64_t m = 0; m < rows; ++m) to[d * rows + m] = from[m * width + d];
    }
  });
  return out;
}

}  // namespace

void check_feature_sets(const char* what, const Tensor& a, const Tensor& b, int64_t least) {
  for (const Tensor* set : {&a, &b}) {
    if (!set->defined() || set->dtype() != DType::kFloat32 || set->shape().rank() != 2 ||
        set->size(1) < 1) {
      fail("eval", fmt::format("{}: features must be float32 [N, D]", what));
    }
  }
  if (a.size(1) != b.size(1)) {
    fail("eval", fmt::format("{}: features of width {} and {}; both sets need the same network",
                             what, a.size(1), b.size(1)));
  }
  if (const int64_t fewest = std::min(a.size(0), b.size(0)); fewest < least) {
    fail("eval", fmt::format("{}: {} vectors; each set needs at least {}", what, fewest, least));
  }
}

void visit_products(const Tensor& a, const Tensor& b, const ProductVisitor& visit) {
  check_feature_sets("products", a, b, 0);
  for (int64_t first = 0; first < b.size(0); first += kColumns) {
    const int64_t columns = std::min(kColumns, b.size(0) - first);
    const Tensor right = transposed(b.rows(first, first + columns));  // [D, columns]
    for (int64_t begin = 0; begin < a.size(0); begin += kRows) {
      const Tensor left = a.rows(begin, std::min(begin + kRows, a.size(0)));  // [rows, D]
      Tensor products({left.size(0), columns});
      backend_for(Device::kCpu).run(op::Linear{.x = left, .w = right, .y = products});
      const float* values = products.f32();
      parallel_for(left.size(0), 8, [&](int64_t from, int64_t to) {
        for (int64_t row = from; row < to; ++row) {
          visit(begin + row, first, {values + row * columns, static_cast<size_t>(columns)});
        }
      });
    }
  }
}

std::vector<double> squared_norms(const Tensor& x) {
  const int64_t width = x.size(1);
  std::vector<double> norms(static_cast<size_t>(x.size(0)));
  const float* values = x.f32();
  for (double& norm : norms) {
    for (int64_t d = 0; d < width; ++d) norm += double{values[d]} * double{values[d]};
    values += width;
  }
  return norms;
}

double squared_distance(const Tensor& a, int64_t i, const Tensor& b, int64_t j) {
  const int64_t width = a.size(1);
  const float* x = a.f32() + i * width;
  const float* y = b.f32() + j * width;
  double sum = 0;
  for (int64_t d = 0; d < width; ++d) {
    const double apart = double{x[d]} - double{y[d]};
    sum += apart * apart;
  }
  return sum;
}

}  // namespace ddpm
