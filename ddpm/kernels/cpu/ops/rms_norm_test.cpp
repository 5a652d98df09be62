#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

struct Case {
  Shape shape;
  bool film = true;
  bool silu = true;
};

struct Inputs {
  explicit Inputs(const Case& c)
      : args{.silu = c.silu},
        with_film(c.film),
        x(normal_tensor(c.shape, 1)),
        dy(normal_tensor(c.shape, 2)),
        g(normal_tensor({1, c.shape[-1], 1, 1}, 3)),
        film(normal_tensor({c.shape[0], 2 * c.shape[-1]}, 4)) {
    // Sums of dy that almost cancel would compare rounding errors.
    for (int64_t i = 0; i < dy.elements(); ++i) dy.f32()[i] += 1;
  }

  std::vector<Output> run(Backend& on, int64_t begin, int64_t end, bool weights) const {
    const Tensor xs = x.rows(begin, end), dys = dy.rows(begin, end), films = film.rows(begin, end);
    const Tensor* f = with_film ? &films : nullptr;
    Tensor y = unwritten(xs.shape()), with_residual = unwritten(xs.shape());
    on.run(op::RmsNorm{.args = args, .x = xs, .g = g, .film = f, .y = y});
    on.run(op::RmsNorm{
        .args = args, .x = xs, .g = g, .film = f, .residual = &dys, .y = with_residual});
    Tensor dx = unwritten(xs.shape()), dg = unwritten(g.shape()), dfilm = unwritten(films.shape());
    const auto backward = [&](const Tensor& grad, Tensor& to) {
      on.run(op::RmsNormBackward{.args = args,
                                 .dy = grad,
                                 .x = xs,
                                 .g = g,
                                 .film = f,
                                 .dx = to,
                                 .dg = dg,
                                 .dfilm = with_film ? &dfilm : nullptr});
    };
    Tensor in_place = dys.clone();
    backward(in_place, in_place);
    backward(dys, dx);
    EXPECT_TRUE(same_bits(in_place, dx));
    std::vector<Output> outputs = {{"y", y}, {"with residual", with_residual}, {"dx", dx}};
    if (with_film) outputs.push_back({"dfilm", dfilm});
    if (weights) outputs.push_back({"dg", dg});
    return outputs;
  }

  RmsNormArgs args;
  bool with_film;
  Tensor x, dy, g, film;
};

void check(const Case& c) {
  const Inputs inputs(c);
  expect_agrees_with_ref([&](Backend& on) { return inputs.run(on, 0, c.shape[0], true); },
                         c.shape.str() + (c.film ? " film" : "") + (c.silu ? " silu" : ""));
}

class RmsNormTest : public EverySimd {};

TEST_P(RmsNormTest, AgreesForAnyWidth) {
  for (int64_t channels = 2; channels <= 34; ++channels) check({{2, 3, 5, channels}});
  check({{1, 2, 3, 257}});
}

// Of one channel only the sign is left, so that its gradient is zero in exact arithmetic.
TEST_P(RmsNormTest, OneChannelKeepsItsSignAlone) {
  const Case c{{2, 3, 5, 1}};
  const Inputs inputs(c);
  const auto without_dx = [&](Backend& on) {
    std::vector<Output> outputs = inputs.run(on, 0, 2, true);
    for (int64_t i = 0; i < inputs.x.elements(); ++i) {
      const float bound = 1e-5f * std::abs(inputs.dy.f32()[i] / inputs.x.f32()[i]);
      EXPECT_LE(std::abs(outputs[2].tensor.f32()[i]), bound);
    }
    outputs.erase(outputs.begin() + 2);
    return outputs;
  };
  expect_agrees_with_ref(without_dx, "one channel");
}

TEST_P(RmsNormTest, AgreesWithAndWithoutFilmAndSilu) {
  for (const bool film : {false, true}) {
    for (const bool silu : {false, true}) check({{2, 7, 9, 24}, film, silu});
  }
}

TEST_P(RmsNormTest, AgreesForAnyNumberOfPositions) {
  for (int64_t positions : {1, 2, 3, 4, 5, 127, 128, 129, 300}) check({{2, 1, positions, 16}});
}

// A row of zeros has no direction: it stays zeros, and its gradient is that of x / 1e-12.
TEST_P(RmsNormTest, ZerosStayZeros) {
  const Tensor x = Tensor::zeros({1, 1, 5, 9}), g = normal_tensor({9}, 3);
  const Tensor dy = normal_tensor(x.shape(), 1);
  expect_agrees_with_ref(
      [&](Backend& on) {
        Tensor y = unwritten(x.shape()), dx = unwritten(x.shape()), dg = unwritten(g.shape());
        on.run(op::RmsNorm{.x = x, .g = g, .y = y});
        on.run(op::RmsNormBackward{.dy = dy, .x = x, .g = g, .dx = dx, .dg = dg});
        for (const float value : y.values()) EXPECT_EQ(value, 0);
        return std::vector<Output>{{"dx", dx}, {"dg", dg}};
      },
      "zeros");
}

TEST_P(RmsNormTest, NotANumberStaysInItsRow) {
  Tensor x = normal_tensor({1, 1, 5, 9}, 1);
  x.f32()[2 * 9 + 4] = NAN;
  const Tensor g = normal_tensor({9}, 3);
  Tensor y = unwritten(x.shape());
  CpuBackend().run(op::RmsNorm{.args = {.silu = true}, .x = x, .g = g, .y = y});
  for (int64_t i = 0; i < y.elements(); ++i) EXPECT_EQ(std::isnan(y.f32()[i]), i / 9 == 2) << i;
}

TEST_P(RmsNormTest, BitsDoNotDependOnThreadsOrBatch) {
  const Inputs inputs({{5, 20, 33, 40}});
  expect_same_bits_for_any_thread_count([&](Backend& on) { return inputs.run(on, 0, 5, true); });
  expect_same_bits_for_any_batch(5, [&](Backend& on, int64_t begin, int64_t end) {
    return inputs.run(on, begin, end, false);
  });
}

DDPM_FOR_EVERY_SIMD(RmsNormTest);

}  // namespace
}  // namespace ddpm
