#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using Values = std::vector<float>;

TEST(RefGroupNorm, NormalisesEachGroupOfEachImage) {
  RefBackend ref;
  Tensor x({2, 3, 4, 6}), y({2, 3, 4, 6}), mean({2, 2}), rstd({2, 2});
  ref.run(op::Normal{.seeds = {1, 2}, .stream = 0, .x = x});
  for (int64_t i = 0; i < x.elements(); ++i) x.f32()[i] = 3 * x.f32()[i] + 5;
  const Tensor one = Tensor::full({6}, 1), zero = Tensor::zeros({6});
  ref.run(op::GroupNorm{.args = {.groups = 2, .eps = 0},
                        .x = x,
                        .gamma = one,
                        .beta = zero,
                        .y = y,
                        .mean = mean,
                        .rstd = rstd});
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
  Tensor y({1, 1, 1, 2}), mean({1, 1}), rstd({1, 1});
  ref.run(op::GroupNorm{.args = {.groups = 1, .eps = 0},
                        .x = x,
                        .gamma = gamma,
                        .beta = beta,
                        .film = &film,
                        .y = y,
                        .mean = mean,
                        .rstd = rstd});
  EXPECT_EQ(y.values(), (Values{8.5, 18}));
  EXPECT_EQ(mean.values(), Values{0});
  EXPECT_EQ(rstd.values(), Values{1});
  ref.run(op::GroupNorm{.args = {.groups = 1, .eps = 0, .silu = true},
                        .x = x,
                        .gamma = gamma,
                        .beta = beta,
                        .film = &film,
                        .y = y,
                        .mean = mean,
                        .rstd = rstd});
  EXPECT_FLOAT_EQ(y.f32()[0], static_cast<float>(8.5 / (1 + std::exp(-8.5))));
}

TEST(RefGroupNorm, AConstantGroupGivesBeta) {
  RefBackend ref;
  const Tensor x = Tensor::full({1, 2, 2, 1}, 7), gamma = Tensor::full({1}, 3);
  const Tensor beta = Tensor::full({1}, 0.25);
  Tensor y({1, 2, 2, 1}), mean({1, 1}), rstd({1, 1});
  for (const double eps : {0.0, 1e-5}) {
    ref.run(op::GroupNorm{.args = {.groups = 1, .eps = eps},
                          .x = x,
                          .gamma = gamma,
                          .beta = beta,
                          .y = y,
                          .mean = mean,
                          .rstd = rstd});
    EXPECT_EQ(y.values(), Values(4, 0.25));
  }
}

// All gradients against central differences of sum(dy * y) in one parameter at a time.
TEST(RefGroupNorm, GradientsMatchFiniteDifferences) {
  RefBackend ref;
  const NormArgs args{.groups = 2, .eps = 1e-3, .silu = true};
  Tensor x({2, 2, 3, 4}), dy({2, 2, 3, 4}), gamma({4}), beta({4}), film({2, 8});
  ref.run(op::Normal{.seeds = {1, 2}, .stream = 0, .x = x});
  ref.run(op::Normal{.seeds = {3, 4}, .stream = 0, .x = dy});
  ref.run(op::Normal{.seeds = {5, 6, 7, 8}, .stream = 0, .x = gamma});
  ref.run(op::Normal{.seeds = {5, 6, 7, 8}, .stream = 1, .x = beta});
  ref.run(op::Normal{.seeds = {9, 10}, .stream = 0, .x = film});
  Tensor y(x.shape()), mean({2, 2}), rstd({2, 2});
  const auto objective = [&] {
    Tensor other_mean({2, 2}), other_rstd({2, 2});
    ref.run(op::GroupNorm{.args = args,
                          .x = x,
                          .gamma = gamma,
                          .beta = beta,
                          .film = &film,
                          .y = y,
                          .mean = other_mean,
                          .rstd = other_rstd});
    double sum = 0;
    for (int64_t i = 0; i < y.elements(); ++i) sum += double{y.f32()[i]} * dy.f32()[i];
    return sum;
  };
  ref.run(op::GroupNorm{.args = args,
                        .x = x,
                        .gamma = gamma,
                        .beta = beta,
                        .film = &film,
                        .y = y,
                        .mean = mean,
                        .rstd = rstd});
  Tensor dx(x.shape()), dgamma({4}), dbeta({4}), dfilm({2, 8});
  ref.run(op::GroupNormBackward{.args = args,
                                .dy = dy,
                                .x = x,
                                .gamma = gamma,
                                .beta = beta,
                                .film = &film,
                                .mean = mean,
                                .rstd = rstd,
                                .dx = dx,
                                .dgamma = dgamma,
                                .dbeta = dbeta,
                                .dfilm = &dfilm});
  const auto check = [&](const char* name, Tensor& input, const Tensor& gradient) {
    for (int64_t i = 0; i < input.elements(); ++i) {
      const float kept = input.f32()[i], h = 0x1p-7f;
      input.f32()[i] = kept + h;
      const double up = objective();
      input.f32()[i] = kept - h;
      const double down = objective();
      input.f32()[i] = kept;
      EXPECT_NEAR(gradient.f32()[i], (up - down) / (2 * h), 2e-3) << name << " " << i;
    }
  };
  check("x", x, dx);
  check("gamma", gamma, dgamma);
  check("beta", beta, dbeta);
  check("film", film, dfilm);
}

}  // namespace
}  // namespace ddpm
