// The batch of one training step: the input of the network and its target.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The forward process: xt[n] = alpha x0[n] + sigma noise[n]. All tensors are [N, ...], with one
// level per image. xt may be x0 or noise. Throws Error if shapes do not fit.
void add_noise(const std::vector<NoiseLevel>& levels, const Tensor& x0, const Tensor& noise,
               Tensor& xt);

struct NoisedBatch {
  // [N, H, W, C]
  Tensor input;
  // [N]
  Tensor t;
  // [N, H, W, C]. May share storage with the images.
  Tensor target;
  // [N]: the weight of each image in the mean loss. Empty if all are 1.
  Tensor weights;
  // [N]: the estimate of an image is from_input * input + from_output * the network's output.
  std::vector<float> from_input, from_output;

  // The images [N, H, W, C] that the network's output estimates.
  Tensor estimate(const Tensor& output) const;
};

// The batch for given images [N, H, W, C], noise of the same shape, and for each image its level
// and how the network is used at that level. Throws Error if they do not fit together.
NoisedBatch noised_batch(const std::vector<NoiseLevel>& levels,
                         const std::vector<Preconditioning>& uses, const Tensor& x0,
                         const Tensor& noise);
// The same with the objective of a process.
NoisedBatch noised_batch(const Process& process, const std::vector<NoiseLevel>& levels,
                         const Tensor& x0, const Tensor& noise);

// The seeds of the levels and the noise of a batch. They should differ.
struct NoiseSeeds {
  uint64_t levels = 0;
  uint64_t noise = 0;
};

// The same with random levels and noise. Image n uses the random numbers at position first + n,
// whatever the size of the batch.
NoisedBatch noised_batch(const Process& process, const NoiseSeeds& seeds, uint64_t first,
                         const Tensor& x0);

}  // namespace ddpm
