// Which model can guide which (autoguidance).
#pragma once

#include <cstdint>

#include "ddpm/engine/model_config.h"

namespace ddpm {

struct Model;

// Throws UsageError unless the guide predicts what the model predicts of images of this size: the
// same channels, objective, levels of noise, classes and condition. The guide may be told no
// classes, or be shown no condition, where the model is. It may be of another family of networks.
void check_guide(const ModelConfig& model, const Model& guide, int64_t height, int64_t width);

}  // namespace ddpm
