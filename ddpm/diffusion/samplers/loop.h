// What samplers share: the noise of each image, the estimate of the image behind x, the update and
// the progress call. A sampler is then the arithmetic of one step. Private to this room.
#pragma once

#include <vector>

#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sample_request.h"
#include "ddpm/diffusion/sampler_kind.h"

namespace ddpm {

// A tensor of the images' shape and what it is multiplied by.
struct Term {
  const Tensor* tensor = nullptr;
  double factor = 0;
};

class SampleLoop {
 public:
  // steps: what to walk, from the most noise to the image. The request is checked already; it, the
  // process and the network must outlive the loop.
  SampleLoop(const Process& process, std::vector<NoiseStep> steps, const Denoiser& network,
             const SampleRequest& request)
      : process_(process), steps_(std::move(steps)), network_(network), request_(request) {}

  const std::vector<NoiseStep>& steps() const { return steps_; }
  double eta() const { return request_.eta; }

  // All tensors are [N, H, W, C].

  // x before the first step.
  Tensor start() const;
  // The network's estimate of the image behind x at a level, clipped where the request says so.
  Tensor predict_x0(const Tensor& x, const NoiseLevel& level) const;
  // The noise that explains x from x0: (x - alpha x0) / sigma. Of a clipped x0 it is not the
  // network's own estimate.
  Tensor predict_noise(const Tensor& x, const Tensor& x0, const NoiseLevel& level) const;

  // out becomes the sum of one or more terms; it may be one of the first three. Factors are double
  // until here.
  void sum(const std::vector<Term>& terms, Tensor& out) const;

  // Ends a step: x becomes the sum of the terms, which may hold x as in sum(), and of from_noise
  // times fresh noise. x0 is the step's estimate, for the progress call.
  void advance(const NoiseStep& step, std::vector<Term> terms, double from_noise, const Tensor& x0,
               Tensor& x);

 private:
  const Process& process_;
  std::vector<NoiseStep> steps_;
  const Denoiser& network_;
  const SampleRequest& request_;
  int64_t done_ = 0;
};

}  // namespace ddpm
