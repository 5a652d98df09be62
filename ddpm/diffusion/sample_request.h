// The request to a sampler, and its progress callback.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The network: returns its output for x [N, H, W, C], with x's shape. The objective defines what
// the output means. t [N] is the number that the network gets for the level of each image.
using Denoiser = std::function<Tensor(const Tensor& x, const Tensor& t)>;

// Passed to the callback after each step. The tensors belong to the sampler and are valid only
// during the call. To keep one, clone it.
struct SampleProgress {
  // 1 ... steps
  int64_t step = 0;
  int64_t steps = 0;
  // [N, H, W, C]: the input of the next step, or the finished images after the last step.
  const Tensor* x = nullptr;
  // [N, H, W, C]: this step's estimate of the finished images.
  const Tensor* x0 = nullptr;
};

struct SampleRequest {
  std::string sampler = "ddpm";
  // [H, W, C]
  Shape image = {};
  // One per image; see image_seeds() in initial_noise.h.
  std::vector<uint64_t> image_seeds = {};
  // Without a value the sampler's default is used; see sampling_steps() in sampler.h.
  std::optional<int64_t> steps = {};
  // For DDIM: from 0 (no noise is added) to 1 (as much noise as in DDPM).
  double eta = 0;
  // Clip each estimate of the image to [-1, 1].
  bool clip = true;
  Device device = Device::kCpu;
  // Called after each step. If it returns false, sample() stops and throws Error, so that
  // unfinished images are never taken for samples. May be empty.
  std::function<bool(const SampleProgress&)> progress = {};
};

}  // namespace ddpm
