#include "ddpm/engine/run/checked_pictures.h"

#include <fmt/core.h>

#include <string>

#include "ddpm/base/error.h"
#include "ddpm/engine/finite.h"

namespace ddpm {
namespace {

// The run keeps a permutation of their numbers.
constexpr int64_t kMostPictures = int64_t{1} << 31;

void check_tensor(const char* name, const Tensor& tensor, const Shape& shape) {
  if (tensor.dtype() != DType::kFloat32) {
    fail("train", fmt::format("Pictures::batch() gave {} of type {}; it must be float32", name,
                              name_of(tensor.dtype())));
  }
  if (tensor.shape() != shape) {
    fail("train", fmt::format("Pictures::batch() gave {} of shape {}; it must be {}", name,
                              tensor.shape().str(), shape.str()));
  }
}

}  // namespace

void check_pictures(const DataOptions& options, const Pictures& pictures) {
  const ImageSize wanted = parse_image_size(options.size), size = pictures.image_size();
  if (size != wanted) {
    fail_usage("train", fmt::format("the pictures have {}x{} pixels, but the run is for {}x{}",
                                    size.height, size.width, wanted.height, wanted.width));
  }
  const int64_t channels = pictures.channels();
  if (options.channels != "auto" && options.channels != std::to_string(channels)) {
    fail_usage("train", fmt::format("the pictures have {} channels, but the run is for {}",
                                    channels, options.channels));
  }
  if (channels != 1 && channels != 3 && channels != 4) {
    fail_usage("train",
               fmt::format("the pictures have {} channels; they must have 1, 3 or 4", channels));
  }
  if (pictures.size() < 1 || pictures.size() > kMostPictures) {
    fail_usage("train", fmt::format("there are {} pictures; a run needs 1 to {}", pictures.size(),
                                    kMostPictures));
  }
}

Batch checked_batch(const Pictures& pictures, const BatchPlan& plan) {
  Batch batch = pictures.batch(plan);
  const auto count = static_cast<int64_t>(plan.indices.size());
  const ImageSize size = pictures.image_size();
  check_tensor("images", batch.images, {count, size.height, size.width, pictures.channels()});
  if (!pictures.class_names().empty()) {
    check_tensor("labels", batch.labels, {count});
    if (const auto value = find_not_finite(batch.labels)) {
      fail("train", fmt::format("Pictures::batch() gave labels that contain {}; they are whole "
                                "numbers, or -1 for no class",
                                *value));
    }
  }
  if (pictures.condition_channels() > 0) {
    check_tensor("conditions", batch.condition,
                 {count, size.height, size.width, pictures.condition_channels()});
  }
  return batch;
}

}  // namespace ddpm
