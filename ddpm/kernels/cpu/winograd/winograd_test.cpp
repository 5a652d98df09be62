#include "ddpm/kernels/cpu/winograd/winograd.h"

#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/simd/simd_test_support.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm::cpu {
namespace {

using ddpm::testing::normal_tensor;
using ddpm::testing::relative_error;
using ddpm::testing::same_bits;

// Relative error of F(m) against double, for up to a few hundred channels.
double tolerance(int64_t m) { return m == 2 ? 1e-6 : 3e-6; }

ConvShape map(int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t outputs) {
  return {.batch = batch,
          .height = height,
          .width = width,
          .channels = channels,
          .kernel_height = 3,
          .kernel_width = 3,
          .outputs = outputs,
          .padding = 1};
}

struct Problem {
  explicit Problem(const ConvShape& s)
      : shape(s),
        x(normal_tensor({s.batch, s.height, s.width, s.channels}, 1)),
        w(normal_tensor({3, 3, s.channels, s.outputs}, 2)),
        bias(normal_tensor({s.outputs}, 3)),
        dy(normal_tensor({s.batch, s.height, s.width, s.outputs}, 4)) {}

  struct Results {
    Tensor y, dx, dw, dbias;
  };
  Results make_results() const {
    return {Tensor::full(dy.shape(), NAN), Tensor::full(x.shape(), NAN),
            Tensor::full(w.shape(), NAN), Tensor::full(bias.shape(), NAN)};
  }
  Results run(int64_t m) const {
    Results r = make_results();
    conv_winograd(m, shape, {x.f32(), shape.channels}, {w.f32()}, bias.f32(), r.y.f32());
    conv_winograd_backward_data(m, shape, dy.f32(), {w.f32()}, {r.dx.f32(), shape.channels});
    conv_winograd_backward_weights(m, shape, {x.f32(), shape.channels}, dy.f32(), r.dw.f32(),
                                   r.dbias.f32());
    return r;
  }

  ConvShape shape;
  Tensor x, w, bias, dy;
};

void check_against_ref(const ConvShape& s) {
  const Problem problem(s);
  Problem::Results expected = problem.make_results();
  RefBackend ref;
  ref.run(op::Conv2d{.args = {.padding = 1},
                     .x = problem.x,
                     .w = problem.w,
                     .bias = &problem.bias,
                     .y = expected.y});
  ref.run(op::Conv2dBackwardData{
      .args = {.padding = 1}, .dy = problem.dy, .w = problem.w, .dx = expected.dx});
  ref.run(op::Conv2dBackwardWeights{.args = {.padding = 1},
                                    .x = problem.x,
                                    .dy = problem.dy,
                                    .dw = expected.dw,
                                    .dbias = &expected.dbias});
  for (int64_t m : {2, 4}) {
    const Problem::Results got = problem.run(m);
    SCOPED_TRACE(::testing::Message() << "F(" << m << "), " << s.batch << " x " << s.height << " x "
                                      << s.width << ", " << s.channels << " -> " << s.outputs);
    EXPECT_LE(relative_error(got.y, expected.y), tolerance(m)) << "y";
    EXPECT_LE(relative_error(got.dx, expected.dx), tolerance(m)) << "dx";
    EXPECT_LE(relative_error(got.dw, expected.dw), tolerance(m)) << "dw";
    EXPECT_LE(relative_error(got.dbias, expected.dbias), tolerance(m)) << "dbias";
  }
}

class WinogradTest : public ddpm::testing::EverySimd {};

TEST_P(WinogradTest, AgreesForEveryChannelCountAroundAVector) {
  for (int64_t length = 1; length <= 34; ++length) {
    check_against_ref(map(1, 6, 5, length, 7));
    check_against_ref(map(1, 6, 5, 9, length));
  }
}

TEST_P(WinogradTest, AgreesForEveryChannelCountWhereTilesAreMany) {
  for (int64_t length = 1; length <= 34; ++length) {
    check_against_ref(map(2, 26, 22, length, 3));
    check_against_ref(map(2, 26, 22, 3, length));
  }
}

TEST_P(WinogradTest, AgreesForEveryMapSize) {
  for (int64_t height = 1; height <= 9; ++height) {
    for (int64_t width : {1, 2, 3, 4, 7, 8}) check_against_ref(map(2, height, width, 5, 6));
  }
}

TEST_P(WinogradTest, AgreesWhereBlocksOfTilesAndChannelsShareTheWork) {
  check_against_ref(map(3, 30, 26, 24, 40));  // several blocks of tiles
  check_against_ref(map(1, 7, 13, 300, 17));  // several blocks of the reduction
  check_against_ref(map(2, 8, 8, 70, 150));   // several blocks of weights
  check_against_ref(map(3, 14, 13, 40, 70));  // several blocks of tiles, weights made in place
}

TEST_P(WinogradTest, DoesNotDependOnTheThreadCount) {
  for (const ConvShape& shape :
       {map(2, 30, 17, 40, 36), map(1, 4, 4, 130, 70), map(2, 9, 7, 70, 130)}) {
    for (int64_t m : {2, 4}) {
      const Problem problem(shape);
      const Problem::Results once = problem.run(m);
      for (int threads : {2, 3}) {
        set_num_threads(threads);
        const Problem::Results again = problem.run(m);
        EXPECT_TRUE(same_bits(once.y, again.y)) << threads << " threads, y";
        EXPECT_TRUE(same_bits(once.dx, again.dx)) << threads << " threads, dx";
        EXPECT_TRUE(same_bits(once.dw, again.dw)) << threads << " threads, dw";
        EXPECT_TRUE(same_bits(once.dbias, again.dbias)) << threads << " threads, dbias";
      }
      set_num_threads(1);
    }
  }
}

TEST_P(WinogradTest, AnImageDoesNotDependOnItsBatch) {
  for (int64_t m : {2, 4}) {
    Problem problem(map(5, 18, 11, 37, 21));
    const Problem::Results all = problem.run(m);
    problem.shape.batch = 1;
    problem.x = problem.x.rows(3, 4).clone();
    problem.dy = problem.dy.rows(3, 4).clone();
    const Problem::Results alone = problem.run(m);
    EXPECT_TRUE(same_bits(alone.y, all.y.rows(3, 4).clone())) << "y";
    EXPECT_TRUE(same_bits(alone.dx, all.dx.rows(3, 4).clone())) << "dx";
  }
}

DDPM_FOR_EVERY_SIMD(WinogradTest);

}  // namespace
}  // namespace ddpm::cpu
