// The parts that samplers share: the noise of each image, the estimate of the image behind x, the
// update of x and the progress callback. A sampler adds only the arithmetic of one step. Private to
// diffusion.
#pragma once

#include <vector>

#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sample_request.h"
#include "ddpm/diffusion/sampler_kind.h"

namespace ddpm {

// A tensor of the images' shape and its factor in a sum.
struct Term {
  const Tensor* tensor = nullptr;
  double factor = 0;
};

class SampleLoop {
 public:
  // `steps` are the steps of sampling, from the most noise to the image. The request's options must
  // be those of completed(). Request, process and network must outlive the loop.
  SampleLoop(const Process& process, std::vector<NoiseStep> steps, const Denoiser& network,
             const SampleRequest& request);

  const Process& process() const { return process_; }
  const std::vector<NoiseStep>& steps() const { return steps_; }
  int64_t order() const { return request_.sampling.order; }
  double eta() const { return request_.sampling.eta; }
  const Churn& churn() const { return churn_; }

  // x before the first step: [N, H, W, C].
  Tensor start();
  // The network's estimate of the image behind x at a level: [N, H, W, C]. Clipped if the request
  // says so.
  Tensor predict_x0(const Tensor& x, const NoiseLevel& level);
  // The noise that explains x from x0: (x - alpha x0) / sigma, [N, H, W, C]. If x0 was clipped,
  // this is not the network's own estimate.
  Tensor predict_noise(const Tensor& x, const Tensor& x0, const NoiseLevel& level) const;
  // Standard normal noise for a step: [N, H, W, C]. To be called at most once for each.
  Tensor noise_of_step(const NoiseStep& step);

  // Sets out to the sum of one or more terms. out may be one of the first three terms. The factors
  // stay double up to this call.
  void sum(const std::vector<Term>& terms, Tensor& out) const;

  // Ends a step: x becomes the sum of the terms, which may include x as in sum(), plus from_noise
  // times new noise. x0 is the step's estimate, for the progress callback.
  void advance(const NoiseStep& step, std::vector<Term> terms, double from_noise, const Tensor& x0,
               Tensor& x);
  // The same with noise of the step's variance: the posterior's, or the one that the network
  // predicted in the last call of predict_x0().
  void advance_by_variance(const NoiseStep& step, std::vector<Term> terms, const Tensor& x0,
                           Tensor& x);
  // How many draws of noise were used, that of the start among them.
  int64_t draws() const { return drawn_; }

  // Reports the x that follows from an evaluation. advance() does this too.
  void report(const Tensor& x0, const Tensor& x);

 private:
  Tensor output_of(const Tensor& x, const NoiseLevel& level);  // [N, H, W, C]
  Tensor next_noise(uint64_t stream);                          // [N, H, W, C]
  void call_progress(const Tensor* x0, const Tensor& x) const;

  const Process& process_;
  const SamplerKind& kind_;
  std::vector<NoiseStep> steps_;
  const Denoiser& network_;
  const SampleRequest& request_;
  Churn churn_;
  // Evaluations done, and draws of noise used.
  int64_t done_ = 0;
  int64_t drawn_ = 0;
  // [N, H, W, C]: the network's output for the variance if it is learned, and the estimate that the
  // network gets next if it takes one.
  Tensor variance_;
  Tensor estimate_;
};

}  // namespace ddpm
