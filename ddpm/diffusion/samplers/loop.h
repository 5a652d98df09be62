// What samplers share: the noise of each image, the estimate of the image behind x, the update and
// the progress call. A sampler is then the arithmetic of one step. Private to this room.
#pragma once

#include "ddpm/diffusion/sampler.h"

namespace ddpm {

class SampleLoop {
 public:
  // schedule is the subsequence to walk; the request is checked already.
  SampleLoop(Schedule schedule, const Denoiser& denoiser, const SampleRequest& request)
      : schedule_(std::move(schedule)), denoiser_(denoiser), request_(request) {}

  const Schedule& schedule() const { return schedule_; }
  double eta() const { return request_.eta; }

  // x before the first step.
  Tensor start() const;  // [N, H, W, C]
  // x0 = (x - sqrt(1 - alpha_bar) noise) / sqrt(alpha_bar), clipped where the request says so.
  Tensor predict_x0(const Tensor& x, int64_t i) const;  // [N, H, W, C]

  // x becomes from_x0 x0 + from_x x + from_noise z with fresh z of stream 1 + t, where t is the
  // step that the network was told. Coefficients are double until here.
  struct Update {
    double from_x0 = 0;
    double from_x = 0;
    double from_noise = 0;
  };
  void advance(int64_t i, const Update& update, const Tensor& x0, Tensor& x) const;

 private:
  Schedule schedule_;
  const Denoiser& denoiser_;
  const SampleRequest& request_;
};

Tensor sample_ddpm(SampleLoop& loop);
Tensor sample_ddim(SampleLoop& loop);

}  // namespace ddpm
