// Noise of images, among it what sampling starts from.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The seeds of the images first ... first + count - 1. The seed of image k is mix_seed(seed, k), so
// image k is the same picture in every batch.
std::vector<uint64_t> image_seeds(uint64_t seed, int64_t first, int64_t count);

// Noise [N, H, W, C]: normal numbers from one stream of each image's seed, plus `offset` times a
// normal number for each channel of an image (offset noise, see ProcessConfig::offset_noise). The
// numbers of the channels come from the same seeds, from streams that nothing else uses.
Tensor noise_of(const std::vector<uint64_t>& image_seeds, uint64_t stream, double offset,
                const Shape& image, Device device);
// The noise that sampling starts from: the same with stream 0. Noise that is added later comes from
// the stream of its NoiseStep.
Tensor initial_noise(const std::vector<uint64_t>& image_seeds, const Shape& image, Device device,
                     double offset = 0);

}  // namespace ddpm
