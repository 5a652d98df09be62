// What pictures are asked of a network.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ddpm/base/options.h"
#include "ddpm/diffusion/sample_request.h"

namespace ddpm {

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
  // Called after every denoising step of every batch: x and x0 of images [begin, begin + N).
  // Returning false cancels (Error).
  std::function<bool(int64_t begin, const SampleProgress&)> progress = {};

  // What a user chooses: n (count), seed, sampler, steps, eta and batch.
  void fields(Fields& field);
  // Throws UsageError where a number lies outside what any model could do, naming the range. Looks
  // at no model, so that a program can ask before it loads one.
  void check() const;
};

}  // namespace ddpm
