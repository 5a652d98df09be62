// Low-discrepancy levels of noise (Kingma et al. 2021, arXiv:2107.00630, appendix I.1): the levels
// of a batch are spread evenly over their distribution, so that the mean loss of a batch varies
// less.
#pragma once

#include <cstdint>
#include <vector>

namespace ddpm {

// The images `first` ... `first + count - 1` of a training.
struct ImageRange {
  uint64_t first = 0;
  int64_t count = 0;
};

// The quantile of the level of each image of `part`, which lies in `batch`: (u + i) / count of the
// batch, strictly between 0 and 1. The batch shares one random u, and its images take the strata i
// in a random order. So each quantile alone is uniform, and a part of a batch gets what the whole
// batch would give it. Both depend on the seed and on the batch's first image and count. Throws
// Error if the part does not lie in the batch.
std::vector<double> stratified_quantiles(uint64_t seed, const ImageRange& batch,
                                         const ImageRange& part);

}  // namespace ddpm
