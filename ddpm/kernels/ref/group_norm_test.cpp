#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ddpm/kernels/ref/gradient_test_support.h"
#include "ddpm/kernels/ref/group_norm_test_support.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;
using Values = std::vector<float>;

TEST(RefGroupNorm, NormalisesEachGroupOfEachImage) {
  RefBackend ref;
  Tensor x({2, 3, 4, 6});
  ref.run(op::Normal{.seeds = {1, 2}, .stream = 0, .x = x});
  for (int64_t i = 0; i < x.elements(); ++i) x.f32()[i] = 3 * x.f32()[i] + 5;
  const Tensor one = Tensor::full({6}, 1), zero = Tensor::zeros({6});
  const GroupNormProblem problem{{.groups = 2, .eps = 0}, x, one, zero};
  const Tensor y = problem.forward(ref).y;
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t group = 0; group < 2; ++group) {
      double sum = 0, squares = 0;
      for (int64_t p = 0; p < 12; ++p) {
        for (int64_t c = 0; c < 3; ++c) {
          const double value = y.f32()[(n * 12 + p) * 6 + group * 3 + c];
          sum += value;
          squares += value * value;
        }
      }
      EXPECT_NEAR(sum / 36, 0, 1e-7);
      EXPECT_NEAR(squares / 36, 1, 1e-6);
    }
  }
}

TEST(RefGroupNorm, AppliesAffineThenFilmThenSilu) {
  RefBackend ref;
  // One group of -1 and 1: mean 0, variance 1.
  const Tensor x = Tensor::of({1, 1, 1, 2}, {-1, 1});
  const Tensor gamma = Tensor::of({2}, {2, 3}), beta = Tensor::of({2}, {1, -1});
  const Tensor film = Tensor::of({1, 4}, {0.5, -2, 10, 20});  // scales, then shifts
  GroupNormProblem problem{{.groups = 1, .eps = 0}, x, gamma, beta, film};
  const auto [y, mean, rstd] = problem.forward(ref);
  EXPECT_EQ(y.values(), (Values{8.5, 18}));
  EXPECT_EQ(mean.values(), Values{0});
  EXPECT_EQ(rstd.values(), Values{1});
  problem.args.silu = true;
  EXPECT_FLOAT_EQ(problem.forward(ref).y.f32()[0], static_cast<float>(8.5 / (1 + std::exp(-8.5))));
}

TEST(RefGroupNorm, AConstantGroupGivesBeta) {
  RefBackend ref;
  const Tensor x = Tensor::full({1, 2, 2, 1}, 7), gamma = Tensor::full({1}, 3);
  const Tensor beta = Tensor::full({1}, 0.25);
  for (const double eps : {0.0, 1e-5}) {
    const GroupNormProblem problem{{.groups = 1, .eps = eps}, x, gamma, beta};
    EXPECT_EQ(problem.forward(ref).y.values(), Values(4, 0.25));
  }
}

// All gradients against central differences of sum(dy * y) in one parameter at a time.
TEST(RefGroupNorm, GradientsMatchFiniteDifferences) {
  RefBackend ref;
  Tensor x({2, 2, 3, 4}), dy({2, 2, 3, 4}), gamma({4}), beta({4}), film({2, 8});
  ref.run(op::Normal{.seeds = {1, 2}, .stream = 0, .x = x});
  ref.run(op::Normal{.seeds = {3, 4}, .stream = 0, .x = dy});
  ref.run(op::Normal{.seeds = {5, 6, 7, 8}, .stream = 0, .x = gamma});
  ref.run(op::Normal{.seeds = {5, 6, 7, 8}, .stream = 1, .x = beta});
  ref.run(op::Normal{.seeds = {9, 10}, .stream = 0, .x = film});
  const GroupNormProblem problem{{.groups = 2, .eps = 1e-3, .silu = true}, x, gamma, beta, film};
  const GroupNormGradients gradients = problem.backward(ref, dy, problem.forward(ref));
  const auto check = [&](const char* name, Tensor& input, const Tensor& gradient) {
    expect_central_differences(name, input, gradient, 2e-3,
                               [&] { return inner(problem.forward(ref).y, dy); });
  };
  check("x", x, gradients.dx);
  check("gamma", gamma, gradients.dgamma);
  check("beta", beta, gradients.dbeta);
  check("film", film, gradients.dfilm);
}

}  // namespace
}  // namespace ddpm
