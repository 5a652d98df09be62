// What each image of a call of generate() gets: its number in the seed, its class, its condition.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/engine/model_config.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The images of a call. The members are those of GenerateOptions.
struct ImagesAsked {
  int64_t count = 0;
  int64_t first = 0;
  std::vector<int64_t> labels;
  double guidance = 1;
  double guidance_rescale = 0;
  Tensor condition;
};

// The numbers in the seed of images begin ... begin + count - 1 of all.
std::vector<int64_t> image_numbers(const ImagesAsked& asked, int64_t begin, int64_t count);

// Throws UsageError if the model has no such classes, or if there is no condition of the right
// shape for each image although the model takes one.
void check_image_inputs(const ModelConfig& config, const ImagesAsked& asked, int64_t height,
                        int64_t width);

// For the images of a batch, on the network's device. Undefined if the network takes none.
struct ImageInputs {
  // [N]
  Tensor labels;
  // [N, H, W, condition channels]
  Tensor condition;
};

// The inputs of images begin ... begin + count - 1 of all. With `both`, as guidance needs them:
// once more after these, with no class.
ImageInputs image_inputs(const ModelConfig& config, const ImagesAsked& asked, int64_t begin,
                         int64_t count, bool both, Device device);

}  // namespace ddpm
