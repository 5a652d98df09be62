// The Frechet distance of two sets of features (Heusel et al. 2017, arXiv:1706.08500): that of two
// normal distributions with the means and covariances of the sets.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct FeatureStatistics {
  // The number of vectors.
  int64_t count = 0;
  // [D]
  std::vector<double> mean;
  // [D, D], divided by count - 1.
  std::vector<double> covariance;

  int64_t width() const { return static_cast<int64_t>(mean.size()); }
  // The number of features that have the same value in all vectors.
  int64_t constant_features() const;
};

// features: float32 [N, D], N >= 2. Sums in double. The result does not depend on the number of
// threads. Throws Error for fewer vectors.
FeatureStatistics feature_statistics(const Tensor& features);

// |m1 - m2|^2 + trace(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2). If S1 = A A^T and S2 = B B^T, the trace
// of the last root is the sum of the singular values of A^T B. It is computed so, because the roots
// of small eigenvalues of the product would magnify their rounding: with 2048 features, those below
// 1e-6 of the largest eigenvalue of S1 would be lost. The factors come from Cholesky's algorithm
// with pivots. A pivot at or below D times the machine epsilon, relative to the variance of its
// feature, counts as zero, and so do all behind the rank that `count` vectors can have. Symmetric
// in both arguments but for rounding. Throws Error if the widths differ or a value is not finite.
double frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b);

}  // namespace ddpm
