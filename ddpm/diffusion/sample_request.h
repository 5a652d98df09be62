// What a sampler is asked for, and how it calls back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The network: its output for x [N, H, W, C], of x's shape, whatever the objective makes it mean; t
// [N] is what it is told of the level of each image.
using Denoiser = std::function<Tensor(const Tensor& x, const Tensor& t)>;

// After each step. The tensors are the sampler's own and valid during the call: clone to keep.
struct SampleProgress {
  int64_t step = 0;  // 1 ... steps
  int64_t steps = 0;
  // [N, H, W, C], what the next step starts from; after the last step the images.
  const Tensor* x = nullptr;
  // [N, H, W, C], the estimate of the images in this step.
  const Tensor* x0 = nullptr;
};

struct SampleRequest {
  std::string sampler = "ddpm";
  // [H, W, C]
  Shape image = {};
  // One per image, see image_seeds() of sampler.h.
  std::vector<uint64_t> image_seeds = {};
  // Absent: the sampler's default, see sampling_steps() of sampler.h.
  std::optional<int64_t> steps = {};
  // For DDIM, from 0 (no noise is added) to 1 (as much as in DDPM).
  double eta = 0;
  // Keep each estimate of the image within [-1, 1].
  bool clip = true;
  Device device = Device::kCpu;
  // Returning false cancels: sample() throws Error, so that no half-denoised picture passes for a
  // sample. May be empty.
  std::function<bool(const SampleProgress&)> progress = {};
};

}  // namespace ddpm
