// UniPC (Zhao et al. 2023, arXiv:2302.04867), algorithms 1 and 2 in the estimate of the image, with
// B(h) = e^h - 1 (B_2 of the paper). A step predicts x at the next level from the estimates so far.
// The estimate at that level, which the next step needs anyway, then corrects x, so the corrector
// costs no evaluation. The first and the last steps use lower orders.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "ddpm/diffusion/samplers/history.h"
#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {
namespace {

constexpr size_t kMostOrder = 3;
using Row = std::array<double, kMostOrder>;

// Solves sum_j nodes[j]^i rho[j] = moments[i] for i, j < n: a Vandermonde system, by elimination.
// The nodes must differ.
Row solve(const Row& nodes, Row moments, size_t n) {
  std::array<Row, kMostOrder> matrix{};
  for (size_t j = 0; j < n; ++j) {
    matrix[0][j] = 1;
    for (size_t i = 1; i < n; ++i) matrix[i][j] = matrix[i - 1][j] * nodes[j];
  }
  for (size_t p = 0; p < n; ++p) {
    size_t best = p;
    for (size_t i = p; i < n; ++i)
      if (std::abs(matrix[i][p]) > std::abs(matrix[best][p])) best = i;
    std::swap(matrix[p], matrix[best]);
    std::swap(moments[p], moments[best]);
    for (size_t i = p + 1; i < n; ++i) {
      const double factor = matrix[i][p] / matrix[p][p];
      for (size_t j = p; j < n; ++j) matrix[i][j] -= factor * matrix[p][j];
      moments[i] -= factor * moments[p];
    }
  }
  Row rho{};
  for (size_t p = n; p-- > 0;) {
    double sum = moments[p];
    for (size_t j = p + 1; j < n; ++j) sum -= matrix[p][j] * rho[j];
    rho[p] = sum / matrix[p][p];
  }
  return rho;
}

// A step from `from` with the estimate D_0 there, towards `to`.
struct Stage {
  NoiseLevel from, to;
  int64_t order;

  double h() const { return lambda_of(to) - lambda_of(from); }
  double scale() const { return to.sigma() / from.sigma(); }
  // alpha_to (1 - e^-h) = alpha_to e^-h B(h), also for an infinite h.
  double gained() const { return to.alpha() - scale() * from.alpha(); }

  // The right side of equation 5 of the paper: phi_{i+1} i! / B(h), i = 1 ... order.
  Row moments() const {
    const double x = -h(), one = std::expm1(x);
    Row values{};
    double phi = one / x - 1, factorial = 1;
    for (size_t i = 0; i < static_cast<size_t>(order); ++i) {
      values[i] = phi * factorial / one;
      factorial *= static_cast<double>(i + 2);
      phi = phi / x - 1 / factorial;
    }
    return values;
  }
};

// Adds rho (D_i - D_0) / r_i for an estimate before the newest.
void add_past(const Stage& stage, const PastEstimate& newest, const PastEstimate& past, double rho,
              std::vector<Term>& terms) {
  const double r = (lambda_of(past.level) - lambda_of(newest.level)) / stage.h();
  const double factor = stage.gained() * rho / r;
  terms.push_back({&past.x0, factor});
  terms.push_back({&newest.x0, -factor});
}

// The nodes r_i of the estimates before the newest, and then 1, that of the level `to`.
Row nodes_of(const Stage& stage, const History& history, size_t newest) {
  Row nodes{};
  const size_t past = static_cast<size_t>(stage.order) - 1;
  for (size_t i = 0; i < past; ++i) {
    nodes[i] = (lambda_of(history[newest + 1 + i].level) - lambda_of(stage.from)) / stage.h();
  }
  nodes[past] = 1;
  return nodes;
}

// x at `to` from x at `from`, whose estimate is history[0].
std::vector<Term> predictor(const Stage& stage, const History& history, const Tensor& x) {
  std::vector<Term> terms = {{&x, stage.scale()}, {&history[0].x0, stage.gained()}};
  if (stage.order == 1) return terms;
  const auto past = static_cast<size_t>(stage.order) - 1;
  const Row rho = past == 1 ? Row{0.5} : solve(nodes_of(stage, history, 0), stage.moments(), past);
  for (size_t i = 0; i < past; ++i) add_past(stage, history[0], history[1 + i], rho[i], terms);
  return terms;
}

// x at `to` again, with the estimate history[0] at `to`. x is at `from`, whose estimate is
// history[1].
std::vector<Term> corrector(const Stage& stage, const History& history, const Tensor& x) {
  std::vector<Term> terms = {{&x, stage.scale()}, {&history[1].x0, stage.gained()}};
  const auto order = static_cast<size_t>(stage.order);
  const Row rho =
      order == 1 ? Row{0.5} : solve(nodes_of(stage, history, 1), stage.moments(), order);
  for (size_t i = 0; i + 1 < order; ++i) add_past(stage, history[1], history[2 + i], rho[i], terms);
  const double factor = stage.gained() * rho[order - 1];
  terms.push_back({&history[0].x0, factor});
  terms.push_back({&history[1].x0, -factor});
  return terms;
}

Tensor run(SampleLoop& loop) {
  Tensor x = loop.start();  // [N, H, W, C]
  // The corrected x of the step before.
  Tensor before;  // [N, H, W, C]
  History history(loop.order() + 1);
  Stage last{};
  for (size_t i = 0; i < loop.steps().size(); ++i) {
    const NoiseStep& step = loop.steps()[i];
    const Tensor x0 = loop.predict_x0(x, step.from);  // [N, H, W, C]
    history.add(step.from, x0);
    // Noise alone has no log SNR to integrate over, so it is not corrected.
    if (i > 0 && last.from.alpha_squared > 0) loop.sum(corrector(last, history, before), x);
    const auto left = static_cast<int64_t>(loop.steps().size() - i);
    last = {step.from, step.to, std::min({loop.order(), left, history.order()})};
    before = x.clone();
    loop.advance(step, predictor(last, history, x), 0, x0, x);
  }
  return x;
}

}  // namespace

SamplerKind unipc_sampler() {
  return {.name = "unipc",
          .help = "looks at its last estimates and corrects each step by the next estimate",
          .run = run,
          .default_steps = 20,
          .spacing = "balanced",
          .most_order = static_cast<int64_t>(kMostOrder),
          .default_order = 2,
          .with_first = false};
}

}  // namespace ddpm
