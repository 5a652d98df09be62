// Pictures in memory, and which of them make up a training step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/data/pixels.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The pictures of one training step: flips[k] != 0 mirrors picture indices[k] left to right.
struct BatchPlan {
  std::vector<int64_t> indices;
  std::vector<uint8_t> flips;
};

// Decoded pictures as bytes. Immutable, cheap to copy, safe to read from several threads.
class Dataset {
 public:
  Dataset() = default;
  // images: bytes [N, H, W, C], N >= 1, C = 1, 3 or 4; name: what they are, for people. Throws
  // Error for another shape.
  Dataset(Tensor images, std::string name);

  int64_t size() const { return images_.size(0); }
  ImageSize image_size() const { return {images_.size(1), images_.size(2)}; }
  int64_t channels() const { return images_.size(3); }
  const Tensor& images() const { return images_; }
  const std::string& name() const { return name_; }

  // float32 [B, H, W, C] in [-1, 1], picture k being indices[k], mirrored where flips[k] (flips may
  // be empty: none). Throws Error for an index out of range.
  Tensor batch(const BatchPlan& plan) const;

 private:
  Tensor images_;
  std::string name_;
};

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
