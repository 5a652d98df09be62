// The request to a sampler, and its progress callback.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "ddpm/diffusion/sampler_options.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The network: returns its output for x [N, H, W, C], with x's shape or, if the process learns the
// variance, with twice the channels. The objective defines what the output means. t [N] is the
// number that the network gets for the level of each image. A function with three arguments also
// gets the estimate of the images [N, H, W, C] from the call before, or zeros at first (Chen et al.
// 2022, arXiv:2208.04202).
class Denoiser {
 public:
  template <std::invocable<const Tensor&, const Tensor&> F>
  Denoiser(F function)
      : run_([function = std::move(function)](const Tensor& x, const Tensor& t, const Tensor&) {
          return function(x, t);
        }) {}
  template <std::invocable<const Tensor&, const Tensor&, const Tensor&> F>
  Denoiser(F function) : run_(std::move(function)), takes_estimate_(true) {}

  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& estimate = {}) const {
    return run_(x, t, estimate);
  }
  bool takes_estimate() const { return takes_estimate_; }

 private:
  std::function<Tensor(const Tensor& x, const Tensor& t, const Tensor& estimate)> run_;
  bool takes_estimate_ = false;
};

// Passed to the callback. The tensors belong to the sampler and are valid only during the call. To
// keep one, clone it.
struct SampleProgress {
  // 0 before the first evaluation, then the evaluations that are done, 1 ... steps.
  int64_t step = 0;
  // Evaluations of the network in all.
  int64_t steps = 0;
  // [N, H, W, C]: the input of the next evaluation, or the finished images after the last one.
  const Tensor* x = nullptr;
  // [N, H, W, C]: the estimate of the finished images by the last evaluation. Null in step 0.
  const Tensor* x0 = nullptr;
};

struct SampleRequest {
  SamplerOptions sampling = {};
  // [H, W, C]
  Shape image = {};
  // One per image; see image_seeds() in initial_noise.h. All noise comes from them.
  std::vector<uint64_t> image_seeds = {};
  // The levels of the spacing "tuned", if there are any.
  TunedLevels tuned = {};
  // Noise in place of that of the seeds, each [N, H, W, C] of standard normal numbers: first that
  // of the start, then that of each step which adds noise. Empty: noise comes from the seeds.
  std::vector<Tensor> noise = {};
  Device device = Device::kCpu;
  // Called before the first evaluation and after each. If it returns false, sample() stops and
  // throws Error, so that unfinished images are never taken for samples. May be empty.
  std::function<bool(const SampleProgress&)> progress = {};
};

}  // namespace ddpm
