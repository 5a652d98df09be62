// The kernel distance of two sets of features, known as KID (Binkowski et al. 2018,
// arXiv:1801.01401): the squared maximum mean discrepancy with the kernel (x . y / D + 1)^3. It has
// no bias, so that it also serves for few pictures. It may be below 0 if both sets are alike.
#pragma once

#include <cstdint>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct KernelDistance {
  double value = 0;
  // The standard error of `value`. Over subsets: their standard deviation divided by the square
  // root of their number. Of whole sets: by leaving out each vector in turn (the jackknife).
  double standard_error = 0;
  // The number of subsets, and the vectors of each set in one. A single subset is both whole sets.
  int64_t subsets = 0;
  int64_t size = 0;
};

// The mean over 100 random subsets of 1000 vectors of each set, or of as many as the smaller set
// has. If both sets have at most 1000 and equally many, this is one figure of all vectors. The
// subsets depend only on the seed and the sizes of the sets. a: float32 [N, D], b: float32 [M, D].
// Throws Error unless N and M are at least 2 and the widths are equal.
KernelDistance kernel_distance(const Tensor& a, const Tensor& b, uint64_t seed = 0);

}  // namespace ddpm
