// The stochastic sampler of Karras et al. 2022 (arXiv:2206.00364, algorithm 2), and its
// deterministic form without churn. Heun's method of order 2 evaluates the network at both ends of
// a step. Euler's method, of order 1, evaluates it at the first end.
//
// The flow is dy / dtau = (y - x0) / tau, where y = x / alpha and tau = sigma / alpha. For
// rectified flow y = x and tau = sigma = t satisfy the same equation; x then follows the velocity
// that the network was trained on.
#include <algorithm>
#include <cmath>

#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {
namespace {

// y = x / scale.
double scale_of(const Process& process, const NoiseLevel& level) {
  return process.kind() == ProcessKind::kFlow ? 1 : level.alpha();
}

double tau_of(const Process& process, const NoiseLevel& level) {
  return process.kind() == ProcessKind::kFlow ? level.sigma() : level.ratio();
}

// Adds noise to x, and returns its new level.
NoiseLevel churned(SampleLoop& loop, const NoiseStep& step, Tensor& x) {
  const Churn& churn = loop.churn();
  const double ratio = step.from.ratio();
  if (churn.amount == 0 || std::isinf(ratio) || ratio < churn.lowest || ratio > churn.highest)
    return step.from;
  const double steps = static_cast<double>(loop.steps().size());
  const double growth = std::min(churn.amount / steps, std::sqrt(2.0) - 1);
  const NoiseLevel raised = loop.process().at_ratio(ratio * (1 + growth));
  const double added = raised.ratio() * raised.ratio() - ratio * ratio;
  // A schedule has no level above its last one.
  if (added <= 0) return step.from;
  const Tensor noise = loop.noise_of_step(step);  // [N, H, W, C]
  loop.sum({{&x, raised.alpha() / step.from.alpha()},
            {&noise, raised.alpha() * std::sqrt(added) * churn.noise}},
           x);
  return raised;
}

Tensor run(SampleLoop& loop, bool second_order) {
  const Process& process = loop.process();
  Tensor x = loop.start();  // [N, H, W, C]
  for (const NoiseStep& step : loop.steps()) {
    const NoiseLevel from = churned(loop, step, x);
    const Tensor x0 = loop.predict_x0(x, from);  // [N, H, W, C]
    const double fall = step.to.sigma() / from.sigma();
    // Euler's step. In y it is tau_to / tau y + (1 - tau_to / tau) x0.
    const std::vector<Term> first = {{&x, fall}, {&x0, step.to.alpha() - fall * from.alpha()}};
    const double scale = scale_of(process, from), scale_to = scale_of(process, step.to);
    // Noise alone has an infinite tau, and no slope to average.
    if (!second_order || step.to.sigma_squared == 0 || scale == 0) {
      loop.advance(step, first, 0, x0, x);
      continue;
    }
    Tensor predicted(x.shape(), DType::kFloat32, x.device());  // [N, H, W, C]
    loop.sum(first, predicted);
    loop.report(x0, predicted);
    const Tensor x0_there = loop.predict_x0(predicted, step.to);  // [N, H, W, C]
    const double tau = tau_of(process, from), tau_to = tau_of(process, step.to);
    // Halves of the step over tau at its ends.
    const double here = (tau_to - tau) / (2 * tau), there = (tau_to - tau) / (2 * tau_to);
    loop.advance(step,
                 {{&x, scale_to / scale * (1 + here)},
                  {&x0, -scale_to * here},
                  {&predicted, there},
                  {&x0_there, -scale_to * there}},
                 0, x0_there, x);
  }
  return x;
}

Tensor run_heun(SampleLoop& loop) { return run(loop, true); }
Tensor run_euler(SampleLoop& loop) { return run(loop, false); }

}  // namespace

SamplerKind heun_sampler() {
  return {.name = "heun",
          .help = "order 2, evaluates the network twice in each step but the last",
          .run = run_heun,
          .default_steps = 35,
          .spacing = "log-snr",
          .has_churn = true,
          .two_evaluations = true,
          .starts_at_sigma = true};
}

SamplerKind euler_sampler() {
  return {.name = "euler",
          .help = "ddim on the levels of k-diffusion, with churn if asked",
          .run = run_euler,
          .default_steps = 50,
          .spacing = "balanced",
          .has_churn = true,
          .starts_at_sigma = true};
}

}  // namespace ddpm
