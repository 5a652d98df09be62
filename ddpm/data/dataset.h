// Pictures in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

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

}  // namespace ddpm
