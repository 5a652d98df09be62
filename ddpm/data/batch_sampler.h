// Which pictures make up a training step.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

struct SamplerOptions {
  int64_t images = 0;  // pictures in the data set
  int64_t batch = 32;  // pictures per step; may exceed `images`
  uint64_t seed = 0;
  bool flip = false;  // mirror every second picture on average
};

// Which pictures make up step s: a function of (options, s) alone, so nothing has to be saved for
// an exact resume. Steps read one endless sequence of epochs, each a fresh permutation of all
// pictures; batches run across the borders. One permutation is kept between calls, so a sampler
// belongs to one thread.
class BatchSampler {
 public:
  // Throws UsageError for no images or a batch below 1.
  explicit BatchSampler(const SamplerOptions& options);
  // step >= 0.
  BatchPlan at(int64_t step);

 private:
  void shuffle(int64_t epoch);

  SamplerOptions options_;
  int64_t epoch_ = -1;  // of permutation_
  std::vector<int64_t> permutation_;
};

}  // namespace ddpm
