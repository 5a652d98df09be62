// What a training reads: pictures, and what is known of each. A program implements Pictures to
// train on its own memory or stream; Dataset (dataset.h) is the implementation for arrays.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

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

  // float32 [B, H, W, C] in [-1, 1]
  Tensor images;
  // float32 [B]: whole numbers from 0, -1 for no class; or empty.
  Tensor labels;
  // float32 [B, H, W, Cc] in [-1, 1], or empty.
  Tensor condition;
};

// A file that gave pictures.
struct SourceFile {
  // Relative to the source's folder, so that a folder may be moved. Any bytes but 0.
  std::string name;
  int64_t bytes = 0;
  // Nanoseconds since 1970, as the file system gives them.
  int64_t modified_ns = 0;
  // Of the contents: 32 hexadecimal digits, as in base/hash.h.
  std::string hash;

  bool operator==(const SourceFile&) const = default;
};

// What tells pictures from others: the files that gave them, in the order of the pictures, or
// entries of another kind. A data set that has changed is noticed by it before a training goes on.
struct DataFingerprint {
  std::vector<SourceFile> files;

  // Of all names and contents in their order. Times do not count.
  std::string hash() const;
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

// Classes of pictures.
struct ClassLabels {
  // One per picture: 0, 1, ..., or -1 for no class.
  std::vector<int64_t> of_pictures;
  // Of class 0, 1, ...; where empty they are numbered.
  std::vector<std::string> names;
};

// Pictures from a program's own arrays, which are copied. pixels: N * H * W * C values in row-major
// order, bytes 0 to 255 or floats -1 to 1; shape: [N, H, W, C]. To train without a copy, implement
// Pictures. Throws Error as Dataset does, and where pixels do not fill the shape or floats lie
// outside [-1, 1].
std::shared_ptr<const Pictures> array_pictures(std::span<const uint8_t> pixels, Shape shape,
                                               ClassLabels labels = {},
                                               std::string name = "arrays");
std::shared_ptr<const Pictures> array_pictures(std::span<const float> pixels, Shape shape,
                                               ClassLabels labels = {},
                                               std::string name = "arrays");

}  // namespace ddpm
