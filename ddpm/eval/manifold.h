// How far two sets of features cover each other: precision and recall (Kynkaanniemi et al. 2019,
// arXiv:1904.06991), density and coverage (Naeem et al. 2020, arXiv:2002.09797). Each vector stands
// for the ball around it that reaches to its k-th nearest neighbour in its own set.
#pragma once

#include <cstdint>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct ManifoldFigures {
  // The share of generated vectors that lie in a ball of a real one, and the other way round.
  double precision = 0;
  double recall = 0;
  // The mean number of real balls around a generated vector, divided by k: 1 where both sets are
  // alike, and it may be more.
  double density = 0;
  // The share of real balls that hold a generated vector.
  double coverage = 0;
};

// The k of the second paper.
inline constexpr int64_t kManifoldNeighbours = 5;

// real: float32 [N, D], generated: float32 [M, D]. The figures depend on N and M, so that only
// those of equal numbers compare. A vector on the surface of a ball lies in it. Throws Error unless
// 1 <= k < N, k < M and the widths are equal.
ManifoldFigures manifold_figures(const Tensor& real, const Tensor& generated,
                                 int64_t k = kManifoldNeighbours);

}  // namespace ddpm
