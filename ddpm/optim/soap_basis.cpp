#include "ddpm/optim/soap_basis.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <numeric>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/kernels/backend.h"
#include "ddpm/optim/algebra.h"

namespace ddpm {
namespace {

using Matrix = Eigen::MatrixXd;
using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix matrix_of(const Tensor& tensor) {
  return Eigen::Map<const FloatMatrix>(tensor.f32(), tensor.size(0), tensor.size(1)).cast<double>();
}

Tensor tensor_of(const Matrix& matrix, Device device) {
  Tensor tensor({matrix.rows(), matrix.cols()}, DType::kFloat32, device);
  Eigen::Map<FloatMatrix>(tensor.f32(), matrix.rows(), matrix.cols()) = matrix.cast<float>();
  return tensor;
}

// An array with one of its axes in the middle: [outer, n, inner].
Tensor around(const Tensor& x, SoapAxis axis) {
  int64_t outer = 1, inner = 1;
  for (const SoapAxis other : kSoapAxes) {
    const int64_t n = x.size(static_cast<int>(other));
    if (other < axis) outer *= n;
    if (other > axis) inner *= n;
  }
  return x.reshape({outer, x.size(static_cast<int>(axis)), inner});
}

// Entry o of the outermost axis, as a matrix [n, inner]. Shares storage.
Tensor part_of(const Tensor& x, int64_t o) {
  return x.rows(o, o + 1).reshape({x.size(1), x.size(2)});
}

// The product of each part [n, inner] and `turn`, which the last axis takes from the right.
template <class FromLeft, class FromRight>
Tensor turned(const Tensor& x, SoapAxis axis, const FromLeft& left, const FromRight& right) {
  const Tensor view = around(x, axis);
  if (axis == SoapAxis::kOutputs)
    return right(view.reshape({view.size(0), view.size(1)})).reshape(x.shape());
  Tensor y(view.shape(), DType::kFloat32, x.device());
  for (int64_t o = 0; o < view.size(0); ++o) part_of(y, o).copy_from(left(part_of(view, o)));
  return y.reshape(x.shape());
}

}  // namespace

const char* name_of(SoapAxis axis) {
  constexpr const char* kNames[] = {"kh", "kw", "in", "out"};
  return kNames[static_cast<int>(axis)];
}

Tensor rotated(const Tensor& x, SoapAxis axis, const Tensor& basis) {
  return turned(
      x, axis, [&](const Tensor& part) { return product_of_transposed(basis, part); },
      [&](const Tensor& rows) { return matrix_product(rows, basis); });
}

Tensor rotated_back(const Tensor& x, SoapAxis axis, const Tensor& basis) {
  return turned(
      x, axis, [&](const Tensor& part) { return matrix_product(basis, part); },
      [&](const Tensor& rows) { return product_with_transposed(rows, basis); });
}

Tensor gram_of(const Tensor& x, SoapAxis axis) {
  const Tensor view = around(x, axis);
  if (axis == SoapAxis::kOutputs) {
    const Tensor rows = view.reshape({view.size(0), view.size(1)});
    return product_of_transposed(rows, rows);
  }
  Tensor sum = Tensor::zeros({view.size(1), view.size(1)}, x.device());
  for (int64_t o = 0; o < view.size(0); ++o) {
    const Tensor one = product_with_transposed(part_of(view, o), part_of(view, o));
    backend_for(x.device()).run(op::Add{.a = sum, .b = one, .y = sum});
  }
  return sum;
}

void permute(Tensor& x, SoapAxis axis, const std::vector<int64_t>& order) {
  const Tensor before = around(x.clone(), axis);
  const int64_t outer = before.size(0), n = before.size(1), inner = before.size(2);
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < n; ++i) {
      std::copy_n(before.f32() + (o * n + order[static_cast<size_t>(i)]) * inner, inner,
                  x.f32() + (o * n + i) * inner);
    }
  }
}

Tensor eigenbasis(const Tensor& gram) {
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(matrix_of(gram));
  if (solver.info() != Eigen::Success)
    fail("soap", "the eigenvalues of a gradient do not converge");
  return tensor_of(solver.eigenvectors().rowwise().reverse(), gram.device());
}

BasisChange next_basis(const SoapBasis& before) {
  const Matrix basis = matrix_of(before.basis), powers = matrix_of(before.gram) * basis;
  // v^T P v for each vector v.
  const Eigen::VectorXd eigenvalues = basis.cwiseProduct(powers).colwise().sum();
  BasisChange change;
  change.order.resize(static_cast<size_t>(basis.cols()));
  std::iota(change.order.begin(), change.order.end(), int64_t{0});
  std::stable_sort(change.order.begin(), change.order.end(),
                   [&](int64_t i, int64_t j) { return eigenvalues[i] > eigenvalues[j]; });
  Matrix sorted(basis.rows(), basis.cols());
  for (int64_t i = 0; i < basis.cols(); ++i)
    sorted.col(i) = powers.col(change.order[static_cast<size_t>(i)]);
  const Matrix q = Eigen::HouseholderQR<Matrix>(sorted).householderQ();
  change.basis = tensor_of(q, before.basis.device());
  return change;
}

}  // namespace ddpm
