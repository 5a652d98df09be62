// Parts of sets of vectors.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

class Philox;

// `wanted` of the numbers 0 ... count - 1, in random order, by the numbers at the positions 0, 1,
// ... of a stream. All of them if wanted >= count.
std::vector<int64_t> random_subset(int64_t count, int64_t wanted, const Philox& random);

// The rows of x [N, D] at these positions: [indices, D]. Throws Error if one is out of range.
Tensor chosen_rows(const Tensor& x, const std::vector<int64_t>& indices);

}  // namespace ddpm
