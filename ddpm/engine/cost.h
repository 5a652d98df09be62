// Computes the cost of a network before it runs.
#pragma once

#include <cstdint>

#include "ddpm/engine/model_config.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

struct Cost {
  // The number of scalars.
  int64_t parameters = 0;
  // For one forward pass over one image: matrix products and convolutions. A multiply-add counts as
  // two.
  double forward_flops = 0;
  // The tensors at the peak of sampling: weights, prepared weights, activations.
  int64_t sampling_bytes = 0;
  // The same with guidance. 0 for a network without classes.
  int64_t guided_bytes = 0;
  // The tensors at the peak of a training step: weights, averages, moments, gradients, activations.
  // 0 for a network without parameters.
  int64_t training_bytes = 0;
  // The same with OptimizerOptions::recompute.
  int64_t recompute_bytes = 0;
};

// The bytes of tensors at the peak of a training step.
int64_t training_bytes(const ModelConfig& config, const OptimizerOptions& options);
// The bytes of tensors at the peak of one forward pass of sampling, without the sampler's own
// tensors. `prepare_weights` as in GenerateOptions.
int64_t sampling_bytes(const ModelConfig& config, int64_t batch, bool prepare_weights = true);

// The cost for batches of `batch` images of the configuration's size. It is computed by running the
// real code on Device::kDry, which takes no memory and does not disturb other work. The kernels'
// buffers (per thread) and decoded pictures are not included. Throws UsageError as the network
// does.
Cost estimate_cost(const ModelConfig& config, int64_t batch);

}  // namespace ddpm
