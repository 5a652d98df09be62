// What a network costs, told before it runs.
#pragma once

#include <cstdint>

#include "ddpm/engine/model_config.h"

namespace ddpm {

struct Cost {
  int64_t parameters = 0;  // scalars
  // Of one forward pass over one image: matrix products and convolutions. A multiply-add is two.
  double forward_flops = 0;
  // Tensors alive at the peak of sampling: weights, what is prepared of them, activations.
  int64_t sampling_bytes = 0;
  // At the peak of a training step: weights, average, moments, gradients and activations.
  int64_t training_bytes = 0;
  int64_t recompute_bytes = 0;  // the same with OptimizerOptions::recompute
};

// Bytes of tensors at the peak of a training step, and of one pass of sampling without the
// sampler's own tensors. `prepare_weights` as in GenerateOptions.
int64_t training_bytes(const ModelConfig& config, int64_t batch, bool recompute);
int64_t sampling_bytes(const ModelConfig& config, int64_t batch, bool prepare_weights = true);

// For batches of `batch` images of the configuration's size. Computed by running the real code on
// Device::kDry, which takes no memory and may go on beside anything else. Scratch of the kernels
// (per-thread buffers) and decoded pictures come on top. Throws UsageError as the network does.
Cost estimate_cost(const ModelConfig& config, int64_t batch);

}  // namespace ddpm
