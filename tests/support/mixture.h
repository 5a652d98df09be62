// A data set whose distribution is known: a mixture of three Gaussians over tiny images. What a
// trained network draws is compared with exact samples.
#pragma once

#include <cstdint>

#include "ddpm/diffusion/level.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm::test {

// Of the images of the mixture: [2, 2, 1]. All values lie within [-1, 1] but for a few in a
// million.
Shape mixture_image();
// Exact samples at positions first ... first + count - 1 of a seed, [count, 2, 2, 1].
Tensor mixture_samples(uint64_t seed, int64_t first, int64_t count);

// The exact denoiser: the mean of the clean images given the noisy ones x [N, 2, 2, 1] of a level.
Tensor mixture_denoised(const Tensor& x, const NoiseLevel& level);

// The energy distance of two sets of images (Szekely & Rizzo 2013): 2 E|a - b| - E|a - a'| - E|b -
// b'|, which is 0 in the mean where both are of one distribution, and above 0 otherwise.
double energy_distance(const Tensor& a, const Tensor& b);

// The options to train a small network of this width on the mixture: one level, and no option that
// changes what it is trained to do.
TrainOptions mixture_training(int64_t dim);
// The images of step i are exact samples of a seed, those at positions i * batch and on.
Trainer mixture_trainer(const TrainOptions& options, uint64_t data_seed);

}  // namespace ddpm::test
