// Everything is in double. The covariance is computed in blocks of 256 x 256 features, each by one
// task, so that the sums have a fixed order.
#include "ddpm/eval/frechet.h"

#include <fmt/core.h>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/eval/products.h"

namespace ddpm {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::Index;

// A covariance is symmetric, so the order of its axes does not matter.
Eigen::Map<const Matrix> covariance_of(const FeatureStatistics& statistics) {
  const Index width = statistics.width();
  return {statistics.covariance.data(), width, width};
}

// What is this small relative to the largest eigenvalue is rounding.
double threshold(const Eigen::VectorXd& eigenvalues) {
  return static_cast<double>(eigenvalues.size()) * std::numeric_limits<double>::epsilon() *
         eigenvalues.cwiseAbs().maxCoeff();
}

Eigen::VectorXd roots(const Eigen::VectorXd& eigenvalues) {
  const double zero = threshold(eigenvalues);
  return eigenvalues.unaryExpr([zero](double v) { return v > zero ? std::sqrt(v) : 0.0; });
}

[[noreturn]] void fail_to_converge() {
  fail("eval",
       "the eigenvalues of a covariance did not converge; the features may hold values that "
       "are too large");
}

Matrix root_of(const Matrix& covariance) {
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(covariance);
  if (solver.info() != Eigen::Success) fail_to_converge();
  const Matrix& vectors = solver.eigenvectors();
  return vectors * roots(solver.eigenvalues()).asDiagonal() * vectors.transpose();
}

void check_finite(const FeatureStatistics& statistics) {
  const auto finite = [](double value) { return std::isfinite(value); };
  if (std::all_of(statistics.mean.begin(), statistics.mean.end(), finite) &&
      std::all_of(statistics.covariance.begin(), statistics.covariance.end(), finite)) {
    return;
  }
  fail("eval", "the features hold NaN or infinity");
}

}  // namespace

int64_t FeatureStatistics::constant_features() const {
  int64_t constant = 0;
  for (size_t d = 0; d < mean.size(); ++d) constant += covariance[d * mean.size() + d] == 0;
  return constant;
}

FeatureStatistics feature_statistics(const Tensor& features) {
  check_feature_sets("covariance", features, features, 2);
  constexpr Index kBlock = 256, kRows = 512;
  const Index count = features.size(0), width = features.size(1);
  const Eigen::Map<const FloatMatrix> x(features.f32(), count, width);
  FeatureStatistics result{.count = count,
                           .mean = std::vector<double>(static_cast<size_t>(width)),
                           .covariance = std::vector<double>(static_cast<size_t>(width * width))};
  Eigen::Map<Eigen::RowVectorXd> mean(result.mean.data(), width);
  // Relative to the first vector, so that a constant feature has its exact value as the mean.
  const Eigen::RowVectorXd first = x.row(0).cast<double>();
  for (Index n = 0; n < count; ++n) mean += x.row(n).cast<double>() - first;
  mean = first + mean / static_cast<double>(count);

  Eigen::Map<Matrix> covariance(result.covariance.data(), width, width);
  const Index blocks = (width + kBlock - 1) / kBlock;
  parallel_tasks(blocks * (blocks + 1) / 2, [&](int64_t task) {
    Index i = 0;
    while ((i + 1) * (i + 2) / 2 <= task) ++i;
    const Index j = task - i * (i + 1) / 2;  // j <= i
    const Index top = i * kBlock, left = j * kBlock;
    const Index rows = std::min(kBlock, width - top), columns = std::min(kBlock, width - left);
    Matrix sum = Matrix::Zero(rows, columns);
    for (Index n = 0; n < count; n += kRows) {
      const Index some = std::min(kRows, count - n);
      const Matrix a =
          x.block(n, top, some, rows).cast<double>().rowwise() - mean.segment(top, rows);
      const Matrix b =
          x.block(n, left, some, columns).cast<double>().rowwise() - mean.segment(left, columns);
      sum.noalias() += a.transpose() * b;
    }
    sum /= static_cast<double>(count - 1);
    covariance.block(top, left, rows, columns) = sum;
    if (i != j) covariance.block(left, top, columns, rows) = sum.transpose();
  });
  return result;
}

double frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b) {
  if (a.width() != b.width()) {
    fail("eval", fmt::format("features of width {} and {} cannot be compared; both sets need the "
                             "same network",
                             a.width(), b.width()));
  }
  check_finite(a);
  check_finite(b);
  const Eigen::Map<const Eigen::VectorXd> mean_a(a.mean.data(), a.width());
  const Eigen::Map<const Eigen::VectorXd> mean_b(b.mean.data(), b.width());
  const auto cov_a = covariance_of(a), cov_b = covariance_of(b);
  const Matrix root = root_of(cov_a);
  Matrix product = root * cov_b * root;
  product = (0.5 * (product + product.transpose())).eval();
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(product, Eigen::EigenvaluesOnly);
  if (solver.info() != Eigen::Success) fail_to_converge();
  const double shared = roots(solver.eigenvalues()).sum();
  // Of equal sets it would be a rounding error below 0.
  return std::max((mean_a - mean_b).squaredNorm() + cov_a.trace() + cov_b.trace() - 2 * shared,
                  0.0);
}

}  // namespace ddpm
