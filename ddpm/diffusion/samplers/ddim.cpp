// DDIM (Song et al. 2020, arXiv:2010.02502, equations 12 and 16) on a subsequence of steps:
//   x_prev = sqrt(a_prev) x0 + sqrt(1 - a_prev - sigma^2) noise + sigma z,
//   sigma = eta sqrt((1 - a_prev) / (1 - a)) sqrt(1 - a / a_prev).
// Clipping x0 changes which noise explains x, so the noise is taken from x and x0 again, noise =
// (x - sqrt(a) x0) / sqrt(1 - a), as improved-diffusion does. Where nothing was clipped that is the
// network's own estimate, so one formula serves both cases.
#include <algorithm>
#include <cmath>

#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {

Tensor sample_ddim(SampleLoop& loop) {
  const Schedule& schedule = loop.schedule();
  Tensor x = loop.start();  // [N, H, W, C]
  for (int64_t i = schedule.steps() - 1; i >= 0; --i) {
    const Tensor x0 = loop.predict_x0(x, i);
    const double a = schedule.alpha_bar(i);
    const double a_prev = schedule.alpha_bar_previous(i);
    const double sigma = loop.eta() * std::sqrt(schedule.posterior_variance(i));
    // Not below 0 in exact arithmetic, for eta <= 1.
    const double left = std::max(1 - a_prev - sigma * sigma, 0.0);
    const double direction = std::sqrt(left / (1 - a));
    loop.advance(i,
                 {.from_x0 = std::sqrt(a_prev) - direction * std::sqrt(a),
                  .from_x = direction,
                  .from_noise = sigma},
                 x0, x);
  }
  return x;
}

}  // namespace ddpm
