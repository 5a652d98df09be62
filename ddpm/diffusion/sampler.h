// From noise to images. A sampler sees the network as a callable and the process as steps between
// levels of noise. An image is a function of the network, the request and its own seed, whatever
// stands beside it in the batch and however many threads compute it, as far as the network keeps to
// that.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/process.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The network: its output for x [N, H, W, C], of x's shape, whatever the objective makes it mean; t
// [N] is what it is told of the level of each image.
using Denoiser = std::function<Tensor(const Tensor& x, const Tensor& t)>;

// After each step. The tensors are the sampler's own and valid during the call: clone to keep.
struct SampleProgress {
  int64_t step = 0;  // 1 ... steps
  int64_t steps = 0;
  const Tensor* x = nullptr;   // [N, H, W, C] what the next step starts from; the images at last
  const Tensor* x0 = nullptr;  // [N, H, W, C] the estimate of the images that this step made
};

struct SampleRequest {
  std::string sampler = "ddpm";
  Shape image = {};                        // [H, W, C]
  std::vector<uint64_t> image_seeds = {};  // one per image, see image_seeds()
  std::optional<int64_t> steps = {};       // see sampling_steps()
  double eta = 0;                          // DDIM: 0 (no noise added) ... 1 (as much as DDPM)
  bool clip = true;                        // keep each estimate of the image within [-1, 1]
  Device device = Device::kCpu;
  // Returning false cancels: sample() throws Error, so that no half-denoised picture passes for a
  // sample. May be empty.
  std::function<bool(const SampleProgress&)> progress = {};
};

class SampleLoop;

// One row of the table of samplers, which also feeds help and error messages.
struct SamplerKind {
  const char* name;
  const char* help;
  int64_t default_steps;  // where the request names none; 0: all of the process's
  Tensor (*run)(SampleLoop& loop);
};
const std::vector<SamplerKind>& sampler_kinds();
std::vector<std::string> sampler_names();
// Throws UsageError naming the choices.
const SamplerKind& find_sampler(std::string_view name);

// How many steps sampling takes: those asked for, or the sampler's default, at most those of the
// process. Throws UsageError where more or fewer than 1 are asked for.
int64_t sampling_steps(const SamplerKind& kind, const Process& process,
                       std::optional<int64_t> asked = {});

// The seeds of images first ... first + count - 1 of a seed: mix_seed(seed, k), so image k is the
// same picture in every batch.
std::vector<uint64_t> image_seeds(uint64_t seed, int64_t first, int64_t count);

// [N, H, W, C], what sampling starts from: normal numbers of each image's seed, stream 0. Noise
// that is added later comes from the stream of its NoiseStep.
Tensor initial_noise(const std::vector<uint64_t>& image_seeds, const Shape& image, Device device);

// The images [N, H, W, C]. Throws UsageError for a request that cannot work (unknown sampler, steps
// out of range, eta outside [0, 1], a shape without pixels), Error when cancelled or when the
// network returns another shape.
Tensor sample(const Process& process, const Denoiser& network, const SampleRequest& request);

}  // namespace ddpm
