// Samples from a network in batches that fit in memory; image k of a seed is the same picture in
// every batch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ddpm/base/options.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

class Network;

// How far a batch is. The tensors are valid during the call: clone to keep.
struct GenerateProgress {
  // The first image of the batch, counted from GenerateOptions::first.
  int64_t begin = 0;
  // 1 ... steps
  int64_t step = 0;
  int64_t steps = 0;
  // [N, H, W, C], what the next step starts from; after the last step the images.
  const Tensor* x = nullptr;
  // [N, H, W, C], the estimate of the images in this step.
  const Tensor* x0 = nullptr;
};

struct GenerateOptions {
  int64_t count = 16;
  uint64_t seed = 0;
  // Generates images first ... first + count - 1 of the seed.
  int64_t first = 0;
  std::string sampler = "ddim";
  // Denoising steps, 0 for the sampler's own default.
  int64_t steps = 0;
  double eta = 0;
  int64_t batch = 16;
  // Transforms the weights once instead of in every step, which takes up to four times their memory
  // until the last picture is done.
  bool prepare_weights = true;
  // Sides of the images, 0 for those that the model was trained on.
  int64_t height = 0;
  int64_t width = 0;
  // Memory that the caller will take besides, to be checked too.
  int64_t other_bytes = 0;
  // Called after every denoising step of every batch. Returning false cancels (Error).
  std::function<bool(const GenerateProgress&)> progress = {};

  // What a user chooses: n (count), seed, sampler, steps, eta and batch.
  void fields(Fields& field);
  // Throws UsageError where a number lies outside what any model could do, naming the range. Looks
  // at no model, so that a program can ask before it loads one.
  void check() const;
};

// float32 [count, H, W, C] in [-1, 1]. Throws UsageError for options that cannot work (no size
// known, too many steps, more memory than there is, ...), and where the network predicts anything
// but one value per channel; Error where the network's estimate is not finite.
Tensor generate(const Network& network, const ModelConfig& config, const GenerateOptions& options);

}  // namespace ddpm
