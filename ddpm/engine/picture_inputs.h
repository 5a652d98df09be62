// What a network gets with given pictures: their classes and their conditions.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/image_inputs.h"
#include "ddpm/engine/model_config.h"

namespace ddpm {

// Throws UsageError "[where] ..." unless the pictures have the channels of the model, its condition
// and a size that it takes.
void check_pictures_fit(const char* where, const ModelConfig& config, const Pictures& pictures);

// The inputs for a batch of pictures. labels: the network's label of each of their classes
// (ModelConfig::labels_of_classes()). Throws Error for a class
// that the pictures do not have.
ImageInputs inputs_of_pictures(const ModelConfig& config, const std::vector<int64_t>& labels,
                               const Batch& batch, Device device);

}  // namespace ddpm
