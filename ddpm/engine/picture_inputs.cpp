#include "ddpm/engine/picture_inputs.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"

namespace ddpm {

void check_pictures_fit(const char* where, const ModelConfig& config, const Pictures& pictures) {
  if (pictures.channels() != config.network.channels() ||
      pictures.condition_channels() != config.network.condition_channels()) {
    fail_usage(where, fmt::format("the pictures have {} channels and conditions of {}; the model "
                                  "is for {} and {}",
                                  pictures.channels(), pictures.condition_channels(),
                                  config.network.channels(), config.network.condition_channels()));
  }
  const ImageSize size = pictures.image_size();
  config.network.check_image(size.height, size.width);
}

ImageInputs inputs_of_pictures(const ModelConfig& config, const std::vector<int64_t>& labels,
                               const Batch& batch, Device device) {
  ImageInputs inputs;
  const int64_t count = batch.images.size(0);
  if (config.network.classes() > 0) {
    inputs.labels = Tensor::full({count}, -1);
    for (int64_t n = 0; batch.labels.defined() && n < count; ++n) {
      const float label = batch.labels.f32()[n];
      if (label < 0) continue;
      if (!(label < static_cast<float>(labels.size())))
        fail("dataset", fmt::format("a picture has class {} of {}", label, labels.size()));
      inputs.labels.f32()[n] = static_cast<float>(labels[static_cast<size_t>(label)]);
    }
    inputs.labels = inputs.labels.to(device);
  }
  if (batch.condition.defined()) inputs.condition = batch.condition.to(device);
  return inputs;
}

}  // namespace ddpm
