// The interface to the pictures of a training. A program implements Pictures to train on its own
// memory or stream. Dataset (dataset.h) is the implementation for arrays.
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

// The pictures of one training step. If flips[k] != 0, picture indices[k] is mirrored left to
// right. Without flips, no picture is mirrored. crops[k] are random bits that choose a part of a
// picture which is larger than Pictures::image_size(). Without crops, it is the middle.
struct BatchPlan {
  std::vector<int64_t> indices;
  std::vector<uint8_t> flips;
  std::vector<uint64_t> crops = {};

  bool operator==(const BatchPlan&) const = default;
};

// Throws Error for an index outside 0 ... pictures - 1, and for flips or crops of another number.
void check_plan(const BatchPlan& plan, int64_t pictures);

// B pictures for one training step. Tensors that the training does not use may stay empty.
struct Batch {
  Batch() = default;
  // Not explicit, so that a tensor of images can be used as a batch.
  Batch(Tensor all_images) : images(std::move(all_images)) {}

  // float32 [B, H, W, C] in [-1, 1]
  Tensor images;
  // float32 [B]: whole numbers from 0, or -1 for no class. May be empty.
  Tensor labels;
  // float32 [B, H, W, Cc] in [-1, 1]. May be empty.
  Tensor condition;
  // float32 [B, 9]: how each picture was augmented, as told_of() of data/augment.h. The training
  // makes it.
  Tensor augment;

  // Pictures [begin, end). Shares storage.
  Batch rows(int64_t begin, int64_t end) const;
};

// A file from which pictures were read.
struct SourceFile {
  // Relative to the source's folder, so that the folder may be moved. May hold any bytes except 0.
  std::string name;
  int64_t bytes = 0;
  // Nanoseconds since 1970, as the file system gives them.
  int64_t modified_ns = 0;
  // The hash of the contents: 32 hexadecimal digits, as in base/hash.h.
  std::string hash;

  bool operator==(const SourceFile&) const = default;
};

// Identifies a set of pictures: by the files they were read from, in the order of the pictures, or
// by other entries. When a training is resumed, it shows whether the data set has changed.
struct DataFingerprint {
  std::vector<SourceFile> files;

  // The hash of all names and contents in their order. Times do not count.
  std::string hash() const;
};

class Pictures {
 public:
  virtual ~Pictures() = default;

  // At least 1.
  virtual int64_t size() const = 0;
  virtual ImageSize image_size() const = 0;
  // 1, 3 or 4.
  virtual int64_t channels() const = 0;
  // A short description for users.
  virtual std::string name() const = 0;
  // A name for each class, in the order of the labels. Empty if the pictures have no labels.
  virtual std::vector<std::string> class_names() const { return {}; }
  // The label of each picture, -1 for no class. Empty if there are no labels, or if they are not
  // known before a picture is read.
  virtual std::vector<int64_t> labels() const { return {}; }
  // The channels of Batch::condition. 0 for none.
  virtual int64_t condition_channels() const { return 0; }

  // Identifies these pictures. A training resumes only with pictures that have the same
  // fingerprint. It must therefore be the same in every process, and must differ if a picture, a
  // label or the order has changed.
  virtual DataFingerprint fingerprint() const = 0;

  // Returns the pictures of a plan in its order, in host memory. The result depends only on the
  // plan, in every process. Thread-safe. Throws Error for an index out of range.
  virtual Batch batch(const BatchPlan& plan) const = 0;

  // Tells for which plans batch() will soon be called, the next one first. They replace those of
  // the last call. Pictures that come from files may begin to read them. batch() gives the same
  // whether or not this was called. Thread-safe. Throws Error as batch() does for a wrong plan.
  virtual void prefetch(std::span<const BatchPlan> next) const { static_cast<void>(next); }
  // The memory that later calls will take and keep: that of pictures that are decoded when a batch
  // needs them.
  virtual int64_t bytes_to_come() const { return 0; }
};

// The number of pictures of each class, in the order of the labels. Empty if labels() is.
// Throws Error for a label without a class.
std::vector<int64_t> class_counts(const Pictures& pictures);

// The classes of pictures.
struct ClassLabels {
  // One per picture: 0, 1, ..., or -1 for no class.
  std::vector<int64_t> of_pictures;
  // The names of the classes 0, 1, ... If empty, the numbers are used.
  std::vector<std::string> names;
};

// The labels of a batch, float32 [B]. Empty if the pictures have none.
Tensor labels_of(const ClassLabels& labels, const BatchPlan& plan);

// Makes Pictures from a program's own arrays, which are copied. pixels: N * H * W * C values in
// row-major order, either bytes from 0 to 255 or floats from -1 to 1. shape: [N, H, W, C]. To train
// without a copy, implement Pictures. Throws Error as Dataset does, and if pixels do not fill the
// shape or floats lie outside [-1, 1].
std::shared_ptr<const Pictures> array_pictures(std::span<const uint8_t> pixels, Shape shape,
                                               ClassLabels labels = {},
                                               std::string name = "arrays");
std::shared_ptr<const Pictures> array_pictures(std::span<const float> pixels, Shape shape,
                                               ClassLabels labels = {},
                                               std::string name = "arrays");

// Pictures, each with another one as its condition: that of the same index. A mirrored picture has
// its condition mirrored. Labels are those of the pictures, and the fingerprint tells of both, with
// "condition:" before the names of the conditions. Throws UsageError if the sizes or the numbers
// of both differ, and if the pictures have conditions already.
std::shared_ptr<const Pictures> paired_pictures(std::shared_ptr<const Pictures> pictures,
                                                std::shared_ptr<const Pictures> conditions);

}  // namespace ddpm
