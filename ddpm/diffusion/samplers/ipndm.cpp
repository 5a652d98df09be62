// iPNDM (Zhang & Chen 2022, arXiv:2204.13902): a step of DDIM without added noise, in which a
// combination of the last estimates of the noise, as many as the order says, replaces the newest
// one, e_k. The weights are those of Adams-Bashforth, which assumes evenly spaced levels. For order
// 4:
//   e' = (55 e_k - 59 e_{k-1} + 37 e_{k-2} - 9 e_{k-3}) / 24.
// The first steps have fewer estimates and use lower orders. The last step, from the lowest
// level to the image, returns the estimate of the image as DDIM does, so the image stays within the
// clipped range.
#include <array>
#include <deque>
#include <vector>

#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {
namespace {

constexpr size_t kMostEstimates = 4;

// Row n holds the weights of n + 1 estimates, the newest first.
constexpr std::array<std::array<double, kMostEstimates>, kMostEstimates> kAdamsBashforth = {{
    {1, 0, 0, 0},
    {3.0 / 2, -1.0 / 2, 0, 0},
    {23.0 / 12, -16.0 / 12, 5.0 / 12, 0},
    {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24},
}};

// Adds the terms by which the step with e' differs from the step of DDIM with e_k. In the first
// step there are none. This matters because alpha may be 0 there, and the terms divide by alpha.
void add_history(const NoiseStep& step, const std::deque<Tensor>& estimates,
                 std::vector<Term>& terms) {
  if (estimates.size() == 1) return;
  const double slope = step.to.sigma() - step.to.alpha() * step.from.sigma() / step.from.alpha();
  const auto& weights = kAdamsBashforth[estimates.size() - 1];
  for (size_t i = 0; i < estimates.size(); ++i) {
    terms.push_back({&estimates[i], slope * (i == 0 ? weights[i] - 1 : weights[i])});
  }
}

Tensor run(SampleLoop& loop) {
  Tensor x = loop.start();  // [N, H, W, C]
  // Estimates of the noise, the newest first. Each is [N, H, W, C].
  std::deque<Tensor> estimates;
  const auto most = static_cast<size_t>(loop.order());
  for (const NoiseStep& step : loop.steps()) {
    const Tensor x0 = loop.predict_x0(x, step.from);  // [N, H, W, C]
    const double direction = step.to.sigma() / step.from.sigma();
    std::vector<Term> terms = {{&x0, step.to.alpha() - direction * step.from.alpha()},
                               {&x, direction}};
    if (step.to.sigma_squared > 0) {
      if (estimates.size() == most) estimates.pop_back();
      estimates.push_front(loop.predict_noise(x, x0, step.from));
      add_history(step, estimates, terms);
    }
    loop.advance(step, terms, 0, x0, x);
  }
  return x;
}

}  // namespace

SamplerKind ipndm_sampler() {
  return {.name = "ipndm",
          .help = "ddim that looks at its last estimates of the noise",
          .run = run,
          .default_steps = 20,
          .spacing = "balanced",
          .most_order = static_cast<int64_t>(kMostEstimates),
          .default_order = 3};
}

}  // namespace ddpm
