// The batch of one training step: the input of the network and its target.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/training/strata.h"
#include "ddpm/kernels/arguments.h"
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
  // How the network is used for each image.
  std::vector<Preconditioning> uses;
  // [N, H, W, C]: the images, if the variance is learned. Shares their storage.
  Tensor x0;
  // One per image if the variance is learned: what the bound needs to know.
  std::vector<BoundLevel> bounds;
  // [N, H, W, C]: with input perturbation, the target for the noise that the input really contains.
  // The bound compares with this one. Empty if it is `target`.
  Tensor bound_target;
};

// The network's estimate of the images [N, H, W, C], clipped to [-1, 1] as in sampling, from its
// output for a batch. If the variance is learned, the output has twice the channels. Throws Error
// for an output of another shape.
Tensor estimate_of(const NoisedBatch& batch, const Tensor& output);

// The noise of images, [N, H, W, C].
struct BatchNoise {
  // In the target.
  Tensor target;
  // In the input. It differs from that in the target only with input perturbation.
  Tensor input;
};

// The batch for given images [N, H, W, C], noise of the same shape, and for each image its level
// and how the network is used at that level. Throws Error if they do not fit together.
NoisedBatch noised_batch(const std::vector<NoiseLevel>& levels,
                         const std::vector<Preconditioning>& uses, const Tensor& x0,
                         const BatchNoise& noise);
// The same with the objective of a process, and one noise for input and target.
NoisedBatch noised_batch(const Process& process, const std::vector<NoiseLevel>& levels,
                         const Tensor& x0, const Tensor& noise);

// The seeds of the levels and the noise of a batch. They should differ.
struct NoiseSeeds {
  uint64_t levels = 0;
  uint64_t noise = 0;
  uint64_t perturbation = 0;
};

// Images of a training that are used together.
struct DrawnTogether {
  // Of each image, what the network is told besides its noisy form: classes, conditions,
  // augmentations, each [N, ...] or empty. Pairing exchanges noises only between images of which it
  // is told the same.
  std::vector<Tensor> told = {};
  // The batch that shares low-discrepancy levels, if the images are a part of it. By default they
  // are the batch.
  ImageRange batch = {};
};

// The same with random levels and noise, with offset noise (Guttenberg 2023,
// https://www.crosslabs.org/blog/diffusion-with-offset-noise) and input perturbation (Ning et al.
// 2023, arXiv:2301.11706) if the process has them. Image n uses the random numbers at position
// (first + n), whatever the size of the batch. With ProcessConfig::low_discrepancy its level also
// depends on the batch, and with a pairing its noise depends on the images of this call.
NoisedBatch noised_batch(const Process& process, const NoiseSeeds& seeds, uint64_t first,
                         const Tensor& x0, const DrawnTogether& together = {});

}  // namespace ddpm
