#include "ddpm/optim/algebra.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ddpm/kernels/backend.h"

namespace ddpm {
namespace {

Tensor matrix(int64_t rows, int64_t columns, const Tensor& like) {
  return Tensor({rows, columns}, DType::kFloat32, like.device());
}

}  // namespace

void combine(const std::vector<Term>& terms, Tensor& y) {
  // The operation is parallel over rows.
  const int64_t columns = std::max<int64_t>(1, y.size(-1)), rows = y.elements() / columns;
  std::vector<Tensor> views;
  std::vector<std::vector<float>> factors;
  for (const Term& term : terms) {
    views.push_back(term.tensor.reshape({rows, columns}));
    factors.emplace_back(static_cast<size_t>(rows), static_cast<float>(term.factor));
  }
  std::vector<const Tensor*> inputs;
  for (const Tensor& view : views) inputs.push_back(&view);
  Tensor out = y.reshape({rows, columns});
  backend_for(y.device()).run(op::Combine{.inputs = inputs, .coefficients = factors, .y = out});
}

double norm_of(const Tensor& x) {
  const std::vector<Tensor> tensors = {x};
  std::vector<double> sums;
  backend_for(x.device()).run(op::SumOfSquares{.tensors = tensors, .sums = sums});
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

Tensor matrix_product(const Tensor& a, const Tensor& b) {
  Tensor c = matrix(a.size(0), b.size(1), a);
  backend_for(a.device()).run(op::Linear{.x = a, .w = b, .y = c});
  return c;
}

Tensor product_with_transposed(const Tensor& a, const Tensor& b) {
  Tensor c = matrix(a.size(0), b.size(0), a);
  backend_for(a.device()).run(op::LinearBackwardData{.dy = a, .w = b, .dx = c});
  return c;
}

Tensor product_of_transposed(const Tensor& a, const Tensor& b) {
  Tensor c = matrix(a.size(1), b.size(1), a);
  backend_for(a.device()).run(op::LinearBackwardWeights{.x = a, .dy = b, .dw = c});
  return c;
}

}  // namespace ddpm
