// The noise that sampling starts from.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The seeds of images first ... first + count - 1 of a seed: mix_seed(seed, k), so image k is the
// same picture in every batch.
std::vector<uint64_t> image_seeds(uint64_t seed, int64_t first, int64_t count);

// [N, H, W, C], what sampling starts from: normal numbers of each image's seed, stream 0. Noise
// that is added later comes from the stream of its NoiseStep.
Tensor initial_noise(const std::vector<uint64_t>& image_seeds, const Shape& image, Device device);

}  // namespace ddpm
