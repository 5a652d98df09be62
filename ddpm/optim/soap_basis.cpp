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

// [taps, inputs, outputs] as a matrix whose columns, or whose rows, are an axis.
Tensor with_columns(const Tensor& x) { return x.reshape({x.size(0) * x.size(1), x.size(2)}); }
Tensor with_rows(const Tensor& x) { return x.reshape({x.size(0), x.size(1) * x.size(2)}); }
// The matrix [inputs, outputs] of one tap. Shares storage.
Tensor tap(const Tensor& x, int64_t t) { return x.rows(t, t + 1).reshape({x.size(1), x.size(2)}); }

// y of one tap = f(x of one tap)
template <class Function>
Tensor for_each_tap(const Tensor& x, const Function& f) {
  Tensor y(x.shape(), DType::kFloat32, x.device());
  for (int64_t t = 0; t < x.size(0); ++t) tap(y, t).copy_from(f(tap(x, t)));
  return y;
}

}  // namespace

const char* name_of(SoapAxis axis) {
  if (axis == SoapAxis::kTaps) return "taps";
  return axis == SoapAxis::kInputs ? "in" : "out";
}

Tensor rotated(const Tensor& x, SoapAxis axis, const Tensor& basis) {
  if (axis == SoapAxis::kOutputs) return matrix_product(with_columns(x), basis).reshape(x.shape());
  if (axis == SoapAxis::kTaps) return product_of_transposed(basis, with_rows(x)).reshape(x.shape());
  return for_each_tap(x, [&](const Tensor& of) { return product_of_transposed(basis, of); });
}

Tensor rotated_back(const Tensor& x, SoapAxis axis, const Tensor& basis) {
  if (axis == SoapAxis::kOutputs)
    return product_with_transposed(with_columns(x), basis).reshape(x.shape());
  if (axis == SoapAxis::kTaps) return matrix_product(basis, with_rows(x)).reshape(x.shape());
  return for_each_tap(x, [&](const Tensor& of) { return matrix_product(basis, of); });
}

Tensor gram_of(const Tensor& x, SoapAxis axis) {
  if (axis == SoapAxis::kOutputs) return product_of_transposed(with_columns(x), with_columns(x));
  if (axis == SoapAxis::kTaps) return product_with_transposed(with_rows(x), with_rows(x));
  Tensor sum = Tensor::zeros({x.size(1), x.size(1)}, x.device());
  for (int64_t t = 0; t < x.size(0); ++t) {
    const Tensor one = product_with_transposed(tap(x, t), tap(x, t));
    backend_for(x.device()).run(op::Add{.a = sum, .b = one, .y = sum});
  }
  return sum;
}

void permute(Tensor& x, SoapAxis axis, const std::vector<int64_t>& order) {
  const auto a = static_cast<int>(axis);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < a; ++i) outer *= x.size(i);
  for (int i = a + 1; i < 3; ++i) inner *= x.size(i);
  const Tensor before = x.clone();
  const auto n = static_cast<int64_t>(order.size());
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
