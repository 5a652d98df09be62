// Ancestral sampling (Ho et al. 2020, arXiv:2006.11239, algorithm 2): draws from the posterior
// q(x_to | x_from, x0) with the estimated x0 and the variance beta~, or with the variance that the
// network learned, between beta~ and beta. Fewer steps use a respaced schedule (Nichol & Dhariwal
// 2021, arXiv:2102.09672, section 4), with a beta for each larger step.
#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {
namespace {

Tensor run(SampleLoop& loop) {
  Tensor x = loop.start();  // [N, H, W, C]
  for (const NoiseStep& step : loop.steps()) {
    const Tensor x0 = loop.predict_x0(x, step.from);  // [N, H, W, C]
    loop.advance_by_variance(step, {{&x0, step.posterior_x0()}, {&x, step.posterior_x()}}, x0, x);
  }
  return x;
}

}  // namespace

SamplerKind ddpm_sampler() {
  return {.name = "ddpm",
          .help = "ancestral sampling with fresh noise in each step; best with all steps",
          .run = run,
          .default_steps = 0,
          .spacing = "trailing",
          .always_noisy = true};
}

}  // namespace ddpm
