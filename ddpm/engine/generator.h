// Samples from a network in batches that fit in memory; image k of a seed is the same picture in
// every batch.
#pragma once

#include "ddpm/engine/generate_options.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// float32 [count, H, W, C] in [-1, 1]. Throws UsageError for options that cannot work (no size
// known, too many steps, more memory than there is, ...), and where the network predicts anything
// but one value per channel; Error where the network's estimate is not finite.
Tensor generate(const Network& network, const ModelConfig& config, const GenerateOptions& options);

}  // namespace ddpm
