// Ancestral sampling (Ho et al. 2020, arXiv:2006.11239, algorithm 2): draw from the posterior
// q(x_{i-1} | x_i, x0) with the estimated x0 and the variance beta~. Fewer steps walk a respaced
// schedule (Nichol & Dhariwal 2021, arXiv:2102.09672, section 4), whose beta spans the gap.
#include <cmath>

#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {

Tensor sample_ddpm(SampleLoop& loop) {
  const Schedule& schedule = loop.schedule();
  Tensor x = loop.start();  // [N, H, W, C]
  for (int64_t i = schedule.steps() - 1; i >= 0; --i) {
    const Tensor x0 = loop.predict_x0(x, i);
    loop.advance(i,
                 {.from_x0 = schedule.posterior_x0(i),
                  .from_x = schedule.posterior_xt(i),
                  .from_noise = std::sqrt(schedule.posterior_variance(i))},
                 x0, x);
  }
  return x;
}

}  // namespace ddpm
