// What each image of a call of generate() gets: its number in the seed, its class, its condition.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/diffusion/guidance.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct Model;

// The images of a call. The members are those of GenerateOptions.
struct ImagesAsked {
  int64_t count = 0;
  int64_t first = 0;
  std::vector<int64_t> only;
  std::vector<int64_t> labels;
  Guidance guidance;
  const Model* guide = nullptr;
  Tensor condition;
};

// The image that is drawn k-th.
struct ImagePlace {
  // Among all images of the call.
  int64_t image = 0;
  // Its number in the seed.
  int64_t index = 0;
  // -1 for none.
  int64_t label = -1;
};
// classes: of the network.
ImagePlace place_of(const ImagesAsked& asked, int64_t classes, int64_t k);

// How many images are drawn.
int64_t images_drawn(const ImagesAsked& asked);

// The numbers in the seed of images begin ... begin + count - 1 of those drawn.
std::vector<int64_t> image_numbers(const ImagesAsked& asked, int64_t begin, int64_t count);

// Throws UsageError if there are no such images, if the model has no such classes, if there is no
// condition of the right shape for each image although the model takes one, or if the guide does
// not fit (check_guide()).
void check_image_inputs(const ModelConfig& config, const ImagesAsked& asked, int64_t height,
                        int64_t width);

// For the images of a batch, on the network's device. Undefined if the network takes none.
struct ImageInputs {
  // [N]
  Tensor labels;
  // [N, H, W, condition channels]
  Tensor condition;
};

// The classes that images get.
enum class Labels {
  kOwn,
  kNone,
  // As guidance needs them: all images with their own, then all once more with none.
  kBoth,
};

// The inputs of images begin ... begin + count - 1 of those drawn.
ImageInputs image_inputs(const ModelConfig& config, const ImagesAsked& asked, int64_t begin,
                         int64_t count, Labels labels, Device device);

}  // namespace ddpm
