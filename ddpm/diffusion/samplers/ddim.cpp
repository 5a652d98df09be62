// DDIM (Song et al. 2020, arXiv:2010.02502, equations 12 and 16), for any alpha and sigma:
//   x_to = alpha_to x0 + sqrt(sigma_to^2 - d^2) noise + d z,  d^2 = eta^2 posterior variance.
// Clipping x0 changes the noise that explains x. The noise is therefore computed from x and the
// clipped x0 again, noise = (x - alpha x0) / sigma, as in improved-diffusion. If nothing was
// clipped, this is the network's own estimate, so one formula serves both cases.
#include <algorithm>
#include <cmath>

#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {
namespace {

Tensor run(SampleLoop& loop) {
  Tensor x = loop.start();  // [N, H, W, C]
  for (const NoiseStep& step : loop.steps()) {
    const Tensor x0 = loop.predict_x0(x, step.from);  // [N, H, W, C]
    const double deviation = loop.eta() * std::sqrt(step.posterior_variance());
    // Not negative in exact arithmetic, for eta <= 1.
    const double left = std::max(step.to.sigma_squared - deviation * deviation, 0.0);
    const double direction = std::sqrt(left / step.from.sigma_squared);
    loop.advance(step, {{&x0, step.to.alpha() - direction * step.from.alpha()}, {&x, direction}},
                 deviation, x0, x);
  }
  return x;
}

}  // namespace

SamplerKind ddim_sampler() {
  return {.name = "ddim",
          .help = "order 1, without noise between the levels at eta 0",
          .run = run,
          .default_steps = 50,
          .spacing = "balanced",
          .eta = 0};
}

// In sigma / alpha this is the step of Euler to a lower sigma, and noise up to the next one (the
// ancestral sampling of k-diffusion).
SamplerKind euler_ancestral_sampler() {
  return {.name = "euler-ancestral",
          .help = "ddim with eta 1, on the levels of k-diffusion",
          .run = run,
          .default_steps = 50,
          .spacing = "balanced",
          .eta = 1,
          .starts_at_sigma = true};
}

}  // namespace ddpm
