// The noise that sampling starts from.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The seeds of the images first ... first + count - 1. The seed of image k is mix_seed(seed, k), so
// image k is the same picture in every batch.
std::vector<uint64_t> image_seeds(uint64_t seed, int64_t first, int64_t count);

// The noise [N, H, W, C] that sampling starts from: normal numbers from stream 0 of each image's
// seed. Noise that is added later comes from the stream of its NoiseStep.
Tensor initial_noise(const std::vector<uint64_t>& image_seeds, const Shape& image, Device device);

}  // namespace ddpm
