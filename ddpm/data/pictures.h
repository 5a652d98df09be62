// What a training reads: pictures, and what is known of each. A program implements Pictures to
// train on its own memory or stream; Dataset (dataset.h) is the implementation for arrays.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/data/fingerprint.h"
#include "ddpm/data/pixels.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The pictures of one training step: flips[k] != 0 mirrors picture indices[k] left to right; no
// flips: none is mirrored.
struct BatchPlan {
  std::vector<int64_t> indices;
  std::vector<uint8_t> flips;
};

// B pictures for one training step. What a training has no use for may stay empty.
struct Batch {
  Batch() = default;
  // Not explicit: where nothing else is known the images are the batch.
  Batch(Tensor all_images) : images(std::move(all_images)) {}

  Tensor images;     // float32 [B, H, W, C] in [-1, 1]
  Tensor labels;     // float32 [B]: whole numbers from 0, -1: of no class; or empty
  Tensor condition;  // float32 [B, H, W, Cc] in [-1, 1], or empty
};

class Pictures {
 public:
  virtual ~Pictures() = default;

  virtual int64_t size() const = 0;  // at least 1
  virtual ImageSize image_size() const = 0;
  virtual int64_t channels() const = 0;  // 1, 3 or 4
  // What they are, for people.
  virtual std::string name() const = 0;
  // A name for each class, in the order of the labels. Empty where pictures have no labels.
  virtual std::vector<std::string> class_names() const { return {}; }
  // Channels of Batch::condition, 0 for none.
  virtual int64_t condition_channels() const { return 0; }

  // Tells these pictures from others. A training is only resumed with pictures of the fingerprint
  // that it knows, so it must be the same in every process, and another where a picture, a label
  // or their order changed.
  virtual DataFingerprint fingerprint() const = 0;

  // The pictures of a plan, in its order: a function of the plan alone, on the host. Thread-safe.
  // Throws Error for an index out of range.
  virtual Batch batch(const BatchPlan& plan) const = 0;
};

}  // namespace ddpm
