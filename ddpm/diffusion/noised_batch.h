// What one step of training shows to the network, and what it asks for.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The forward process: xt[n] = alpha x0[n] + sigma noise[n], all [N, ...] and one level per image;
// xt may be x0 or noise. Throws Error where shapes do not fit.
void add_noise(const std::vector<NoiseLevel>& levels, const Tensor& x0, const Tensor& noise,
               Tensor& xt);

struct NoisedBatch {
  Tensor input;   // [N, H, W, C]
  Tensor t;       // [N]
  Tensor target;  // [N, H, W, C]; may share storage with the images
  // [N], of each image in the mean loss; empty where all are 1.
  Tensor weights;
};

// The batch of given images [N, H, W, C], noise of the same shape, and one level per image with how
// the network is used there. Throws Error where they do not fit together.
NoisedBatch noised_batch(const std::vector<NoiseLevel>& levels,
                         const std::vector<Preconditioning>& uses, const Tensor& x0,
                         const Tensor& noise);
// The same with the objective of a process.
NoisedBatch noised_batch(const Process& process, const std::vector<NoiseLevel>& levels,
                         const Tensor& x0, const Tensor& noise);

// Seeds of what is drawn for a batch; they should differ.
struct NoiseSeeds {
  uint64_t levels = 0;
  uint64_t noise = 0;
};

// The same with levels and noise drawn: image n takes the numbers at position first + n, whatever
// the size of the batch.
NoisedBatch noised_batch(const Process& process, const NoiseSeeds& seeds, uint64_t first,
                         const Tensor& x0);

}  // namespace ddpm
