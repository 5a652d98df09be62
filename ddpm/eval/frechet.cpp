// Everything is in double. The covariance is computed in blocks of 256 x 256 features, each by one
// task, so that the sums have a fixed order.
#include "ddpm/eval/frechet.h"

#include <fmt/core.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/SVD>
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
using ColumnMatrix = Eigen::MatrixXd;
using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::Index;

// A covariance is symmetric, so the order of its axes does not matter.
Eigen::Map<const Matrix> covariance_of(const FeatureStatistics& statistics) {
  const Index width = statistics.width();
  return {statistics.covariance.data(), width, width};
}

// A matrix A [D, R] with A A^T = S for a covariance S of rank R: the standard deviations times the
// factor of the correlations by Cholesky's algorithm with pivots. So the rounding of each feature
// is relative to its own range.
ColumnMatrix factor_of(const FeatureStatistics& statistics) {
  const auto covariance = covariance_of(statistics);
  const Index width = statistics.width();
  const Eigen::VectorXd deviations = covariance.diagonal().cwiseMax(0).cwiseSqrt();
  const Eigen::VectorXd inverse =
      deviations.unaryExpr([](double v) { return v > 0 ? 1 / v : 0.0; });
  const Eigen::LDLT<ColumnMatrix> solver(inverse.asDiagonal() * covariance * inverse.asDiagonal());
  // The pivots fall. At the end come those that are zero but for rounding. `count` vectors have at
  // most the rank count - 1.
  const Eigen::VectorXd pivots = solver.vectorD();
  const double zero = static_cast<double>(width) * std::numeric_limits<double>::epsilon();
  const Index most = std::min<Index>(width, statistics.count - 1);
  Index rank = 0;
  while (rank < most && pivots[rank] > zero) ++rank;
  const ColumnMatrix lower =
      ColumnMatrix(solver.matrixL()).leftCols(rank) * pivots.head(rank).cwiseSqrt().asDiagonal();
  return deviations.asDiagonal() * (solver.transpositionsP().transpose() * lower);
}

// The sum of the singular values.
double nuclear_norm(const ColumnMatrix& matrix) {
  if (matrix.size() == 0) return 0;
  const Eigen::BDCSVD<ColumnMatrix> solver(matrix);
  if (solver.info() != Eigen::Success) {
    fail("eval",
         "the singular values of two covariances did not converge; the features may hold values "
         "that are too large");
  }
  return solver.singularValues().sum();
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
  const double shared = nuclear_norm(factor_of(a).transpose() * factor_of(b));
  // Of equal sets it would be a rounding error below 0.
  return std::max((mean_a - mean_b).squaredNorm() + cov_a.trace() + cov_b.trace() - 2 * shared,
                  0.0);
}

}  // namespace ddpm
