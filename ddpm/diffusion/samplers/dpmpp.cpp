// DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095), multistep, in the estimate of the image D:
//   x_to = (sigma_to / sigma_from) x + alpha_to (1 - e^-h) D + terms of the differences of D,
// with lambda = log(alpha / sigma) and h = lambda_to - lambda_from. Order 2 is the paper's
// algorithm 2 (2M). Order 3 is its extension in the authors' program. There the term of the second
// derivative has half the factor of a Taylor expansion, so that the error of many steps is a third
// of that of order 2 but falls no faster. The peers agree on this factor. The SDE version is
// section 4.4 of the paper, with a factor eta for its noise. The first steps have fewer estimates
// and use lower orders. So does the last step, to the image, where h is infinite.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/diffusion/samplers/history.h"
#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {
namespace {

// With fewer steps than this the last step but one has at most order 2, as in the authors' program.
constexpr size_t kFewSteps = 15;

// The order of step i.
int64_t order_of_step(const SampleLoop& loop, size_t i, const History& history) {
  const size_t left = loop.steps().size() - i;
  if (left == 1) return 1;
  const int64_t most = left == 2 && loop.steps().size() < kFewSteps ? 2 : loop.order();
  return std::min(most, history.order());
}

// The terms of the first and second derivative of D at the newest level, times their factors.
void add_differences(const History& history, int64_t order, double h, double first, double second,
                     std::vector<Term>& terms) {
  const double r0 = (lambda_of(history[0].level) - lambda_of(history[1].level)) / h;
  // (D_k - D_{k-1}) / r0
  double newest = first / r0, middle = -first / r0, oldest = 0;
  if (order == 3) {
    const double r1 = (lambda_of(history[1].level) - lambda_of(history[2].level)) / h;
    const double by_slope = first * r0 / (r0 + r1) + second / (r0 + r1);
    newest += by_slope / r0;
    middle -= by_slope * (1 / r0 + 1 / r1);
    oldest = by_slope / r1;
  }
  terms.push_back({&history[0].x0, newest});
  terms.push_back({&history[1].x0, middle});
  if (order == 3) terms.push_back({&history[2].x0, oldest});
}

Tensor run(SampleLoop& loop) {
  Tensor x = loop.start();  // [N, H, W, C]
  History history(loop.order());
  for (size_t i = 0; i < loop.steps().size(); ++i) {
    const NoiseStep& step = loop.steps()[i];
    const Tensor x0 = loop.predict_x0(x, step.from);  // [N, H, W, C]
    history.add(step.from, x0);
    const double scale = step.to.sigma() / step.from.sigma();
    // alpha_to (1 - e^-h), also for an infinite h.
    const double gained = step.to.alpha() - scale * step.from.alpha();
    std::vector<Term> terms = {{&x, scale}, {&x0, gained}};
    const int64_t order = order_of_step(loop, i, history);
    if (order > 1) {
      const double h = lambda_of(step.to) - lambda_of(step.from);
      const double share = std::expm1(-h);  // e^-h - 1
      const double first = order == 2 ? gained / 2 : step.to.alpha() * (share / h + 1);
      const double second = order == 2 ? 0 : -step.to.alpha() * ((share + h) / (h * h) - 0.5);
      add_differences(history, order, h, first, second, terms);
    }
    loop.advance(step, std::move(terms), 0, x0, x);
  }
  return x;
}

Tensor run_sde(SampleLoop& loop) {
  Tensor x = loop.start();  // [N, H, W, C]
  History history(loop.order());
  const double eta = loop.eta();
  for (size_t i = 0; i < loop.steps().size(); ++i) {
    const NoiseStep& step = loop.steps()[i];
    const Tensor x0 = loop.predict_x0(x, step.from);  // [N, H, W, C]
    history.add(step.from, x0);
    const double scale = step.to.sigma() / step.from.sigma();
    const double kept = scale * step.from.alpha() / step.to.alpha();  // e^-h
    const double gained = step.to.alpha() * (1 - std::pow(kept, 1 + eta));
    std::vector<Term> terms = {{&x, scale * std::pow(kept, eta)}, {&x0, gained}};
    const int64_t order = order_of_step(loop, i, history);
    if (order > 1) {
      const double h = lambda_of(step.to) - lambda_of(step.from);
      add_differences(history, order, h, gained / 2, 0, terms);
    }
    const double deviation = step.to.sigma() * std::sqrt(1 - std::pow(kept, 2 * eta));
    loop.advance(step, std::move(terms), deviation, x0, x);
  }
  return x;
}

}  // namespace

SamplerKind dpmpp_2m_sampler() {
  return {.name = "dpmpp-2m",
          .help = "DPM-Solver++ of order 2, which looks at two estimates",
          .run = run,
          .default_steps = 20,
          .spacing = "balanced",
          .most_order = 2,
          .default_order = 2,
          .with_first = false};
}

SamplerKind dpmpp_3m_sampler() {
  return {.name = "dpmpp-3m",
          .help = "DPM-Solver++ of order 3, which looks at three estimates",
          .run = run,
          .default_steps = 20,
          .spacing = "balanced",
          .most_order = 3,
          .default_order = 3,
          .with_first = false};
}

SamplerKind dpmpp_2m_sde_sampler() {
  return {.name = "dpmpp-2m-sde",
          .help = "DPM-Solver++ of order 2 with fresh noise in each step",
          .run = run_sde,
          .default_steps = 12,
          .spacing = "balanced",
          .most_order = 2,
          .default_order = 2,
          .eta = 1,
          .with_first = false};
}

}  // namespace ddpm
