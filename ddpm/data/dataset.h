// Pictures in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"

namespace ddpm {

// Immutable. Cheap to copy. Several threads may read it.
class Dataset : public Pictures {
 public:
  Dataset() = default;
  // images: [N, H, W, C], N >= 1, C = 1, 3 or 4, as bytes or as float32 in [-1, 1]. name: a short
  // description for users. fingerprint: computed from pixels and labels if not given. Throws Error
  // for another shape, for a number of labels other than N, and for a label without a name.
  Dataset(Tensor images, std::string name, ClassLabels labels = {},
          std::optional<DataFingerprint> fingerprint = std::nullopt);

  int64_t size() const override { return images_.size(0); }
  ImageSize image_size() const override { return {images_.size(1), images_.size(2)}; }
  int64_t channels() const override { return images_.size(3); }
  std::string name() const override { return name_; }
  std::vector<std::string> class_names() const override { return labels_->names; }
  std::vector<int64_t> labels() const override { return labels_->of_pictures; }
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
