// Chooses the pictures of each training step.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

struct BatchSamplerOptions {
  // The number of pictures in the data set.
  int64_t images = 0;
  // Pictures per step. May be more than `images`.
  int64_t batch = 32;
  uint64_t seed = 0;
  // Mirror every second picture on average.
  bool flip = false;
  // Choose a part of each picture that is larger than wanted (BatchPlan::crops).
  bool crop = false;
};

// The pictures of step s depend only on the options and s, so an exact resume needs no saved state.
// The steps read one endless sequence of epochs. Each epoch is a new permutation of all pictures.
// A batch may contain the end of one epoch and the start of the next. The sampler keeps one
// permutation between calls, so only one thread may use it.
class BatchSampler {
 public:
  // Throws UsageError for no images or a batch below 1.
  explicit BatchSampler(const BatchSamplerOptions& options);
  // step >= 0.
  BatchPlan at(int64_t step);

 private:
  void shuffle(int64_t epoch);

  BatchSamplerOptions options_;
  // The epoch of permutation_.
  int64_t epoch_ = -1;
  std::vector<int64_t> permutation_;
};

}  // namespace ddpm
