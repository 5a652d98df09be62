// Pictures in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

// Classes of pictures.
struct ClassLabels {
  std::vector<int64_t> of_pictures;  // one per picture: 0, 1, ..., or -1 for no class
  std::vector<std::string> names;    // of class 0, 1, ...; where empty they are numbered
};

// Immutable, cheap to copy, safe to read from several threads.
class Dataset : public Pictures {
 public:
  Dataset() = default;
  // images: [N, H, W, C], N >= 1, C = 1, 3 or 4, as bytes or as float32 in [-1, 1]. name: what they
  // are, for people. fingerprint: computed from pixels and labels where it is not given. Throws
  // Error for another shape, for a number of labels that is not N, and for a label that has no
  // name.
  Dataset(Tensor images, std::string name, ClassLabels labels = {},
          std::optional<DataFingerprint> fingerprint = std::nullopt);

  int64_t size() const override { return images_.size(0); }
  ImageSize image_size() const override { return {images_.size(1), images_.size(2)}; }
  int64_t channels() const override { return images_.size(3); }
  std::string name() const override { return name_; }
  std::vector<std::string> class_names() const override { return labels_->names; }
  DataFingerprint fingerprint() const override;
  Batch batch(const BatchPlan& plan) const override;

  const Tensor& images() const { return images_; }

 private:
  Tensor images_;
  std::string name_;
  std::shared_ptr<const ClassLabels> labels_ = std::make_shared<const ClassLabels>();
  std::optional<DataFingerprint> fingerprint_;
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
