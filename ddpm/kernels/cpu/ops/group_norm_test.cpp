#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"
#include "ddpm/kernels/ref/group_norm_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

struct Case {
  Shape shape;
  int64_t groups;
  bool film = true;
  bool silu = true;
  float offset = 0;  // added to x, in deviations
};

struct Inputs {
  explicit Inputs(const Case& c)
      : args{.groups = c.groups, .eps = 1e-5, .silu = c.silu},
        with_film(c.film),
        x(normal_tensor(c.shape, 1)),
        dy(normal_tensor(c.shape, 2)),
        gamma(normal_tensor({c.shape[-1]}, 3)),
        beta(normal_tensor({c.shape[-1]}, 4)),
        film(normal_tensor({c.shape[0], 2 * c.shape[-1]}, 5)) {
    for (int64_t i = 0; i < x.elements(); ++i) x.f32()[i] += c.offset;
    // Sums of dy that almost cancel would compare rounding errors.
    for (int64_t i = 0; i < dy.elements(); ++i) dy.f32()[i] += 1;
  }

  // Forward and backward on images [begin, end); the backward pass from ref's statistics, so that
  // both backends solve the same problem.
  std::vector<Output> run(Backend& on, int64_t begin, int64_t end, bool parameters) const {
    const Tensor dys = dy.rows(begin, end);
    const GroupNormProblem problem{args, x.rows(begin, end), gamma, beta,
                                   with_film ? film.rows(begin, end) : Tensor()};
    const auto [y, mean, rstd] = problem.forward(on);
    RefBackend ref;
    const GroupNormResult of_ref = problem.forward(ref);
    const GroupNormGradients gradients = problem.backward(on, dys, of_ref);
    const GroupNormResult plus = problem.forward(on, &dys);
    EXPECT_TRUE(same_bits(plus.mean, mean) && same_bits(plus.rstd, rstd));
    std::vector<Output> outputs = {{"y", y},
                                   {"mean", mean},
                                   {"rstd", rstd},
                                   {"again", problem.again(on, of_ref)},
                                   {"with residual", plus.y},
                                   {"dx", gradients.dx}};
    if (with_film) outputs.push_back({"dfilm", gradients.dfilm});
    if (parameters) {
      outputs.push_back({"dgamma", gradients.dgamma});
      outputs.push_back({"dbeta", gradients.dbeta});
    }
    return outputs;
  }

  NormArgs args;
  bool with_film;
  Tensor x, dy, gamma, beta, film;
};

void check(const Case& c) {
  const Inputs inputs(c);
  expect_agrees_with_ref([&](Backend& on) { return inputs.run(on, 0, inputs.x.size(0), true); },
                         c.shape.str() + " in " + std::to_string(c.groups) + " groups");
}

class GroupNormTest : public EverySimd {};

TEST_P(GroupNormTest, AgreesForEveryChannelCountAroundAVector) {
  for (int64_t channels = 1; channels <= 34; ++channels) {
    check({.shape = {2, 3, 5, channels}, .groups = 1});
    check({.shape = {1, 4, 3, channels}, .groups = channels, .film = false});
  }
}

TEST_P(GroupNormTest, AgreesForAnyChannelsPerGroup) {
  for (int64_t width : {1, 2, 3, 8, 64}) check({.shape = {2, 5, 5, 4 * width}, .groups = 4});
  check({.shape = {3, 4, 4, 512}, .groups = 8});
}

TEST_P(GroupNormTest, AgreesOverSeveralBlocksOfPositions) {
  check({.shape = {2, 20, 17, 24}, .groups = 3});
  check({.shape = {1, 32, 32, 64}, .groups = 4, .silu = false});
}

TEST_P(GroupNormTest, AgreesWithoutFilmOrSilu) {
  for (bool film : {false, true}) {
    for (bool silu : {false, true}) {
      check({.shape = {2, 7, 3, 12}, .groups = 2, .film = film, .silu = silu});
    }
  }
}

// A mean of a thousand deviations: sums of squares would lose six digits.
TEST_P(GroupNormTest, StatisticsSurviveALargeMean) {
  const Inputs inputs({.shape = {2, 16, 16, 8}, .groups = 2, .silu = false, .offset = 1000});
  RefBackend ref;
  CpuBackend cpu;
  const std::vector<Output> got = inputs.run(cpu, 0, 2, false);
  const std::vector<Output> expected = inputs.run(ref, 0, 2, false);
  // y, mean, rstd, again, with residual.
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_LE(relative_error(got[i].tensor, expected[i].tensor), test::Tolerance::kOperation)
        << got[i].name;
  }
}

TEST_P(GroupNormTest, AConstantImageGivesBetaExactly) {
  CpuBackend cpu;
  const Tensor x = Tensor::full({1, 13, 11, 6}, 0.1f), gamma = Tensor::full({6}, 3);
  const Tensor beta = Tensor::full({6}, 0.25);
  for (const double eps : {0.0, 1e-5}) {
    const GroupNormProblem problem{{.groups = 2, .eps = eps}, x, gamma, beta};
    EXPECT_EQ(problem.forward(cpu).y.values(), std::vector<float>(x.elements(), 0.25f));
  }
}

TEST_P(GroupNormTest, BitsDoNotDependOnThreadsOrBatch) {
  for (const Case& c : {Case{.shape = {3, 20, 17, 24}, .groups = 3},
                        Case{.shape = {5, 4, 4, 40}, .groups = 1, .silu = false}}) {
    const Inputs inputs(c);
    expect_same_bits_for_any_thread_count(
        [&](Backend& on) { return inputs.run(on, 0, c.shape[0], true); });
    expect_same_bits_for_any_batch(c.shape[0], [&](Backend& on, int64_t begin, int64_t end) {
      return inputs.run(on, begin, end, false);
    });
  }
}

DDPM_FOR_EVERY_SIMD(GroupNormTest);

}  // namespace
}  // namespace ddpm
