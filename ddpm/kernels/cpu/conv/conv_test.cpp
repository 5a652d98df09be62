#include "ddpm/kernels/cpu/conv/conv.h"

#include <gtest/gtest.h>

#include <ostream>

#include "ddpm/kernels/cpu/conv/conv_test_support.h"
#include "ddpm/kernels/cpu/simd/simd_test_support.h"
#include "ddpm/kernels/ref/ref_backend.h"
#include "tests/support/compare.h"

namespace ddpm::cpu {

void PrintTo(const ConvShape& s, std::ostream* out) {
  *out << s.batch << " x " << s.height << " x " << s.width << " x " << s.channels << ", kernel "
       << s.kernel_height << " x " << s.kernel_width << " -> " << s.outputs << ", stride "
       << s.stride << ", padding " << s.padding;
}

namespace {

using ddpm::test::Tolerance;
using ddpm::testing::normal_tensor;
using ddpm::testing::relative_error;
using ddpm::testing::same_bits;

struct Problem {
  explicit Problem(const ConvShape& s)
      : shape(s),
        x(normal_tensor({s.batch, s.height, s.width, s.channels}, 1)),
        w(normal_tensor({s.kernel_height, s.kernel_width, s.channels, s.outputs}, 2)),
        bias(normal_tensor({s.outputs}, 3)),
        dy(normal_tensor({s.batch, s.out_height(), s.out_width(), s.outputs}, 4)) {}

  struct Results {
    Tensor y, dx, dw, dbias;
  };
  Results make_results() const {
    return {Tensor::full(dy.shape(), NAN), Tensor::full(x.shape(), NAN),
            Tensor::full(w.shape(), NAN), Tensor::full(bias.shape(), NAN)};
  }
  Results run() const {
    Results r = make_results();
    conv_direct(shape, x.f32(), w.f32(), bias.f32(), r.y.f32());
    conv_direct_backward_data(shape, dy.f32(), w.f32(), r.dx.f32());
    conv_direct_backward_weights(shape, x.f32(), dy.f32(), r.dw.f32(), r.dbias.f32());
    return r;
  }
  Results run_ref() const {
    RefBackend ref;
    const ConvArgs args{.stride = shape.stride, .padding = shape.padding};
    Results r = make_results();
    ref.run(op::Conv2d{.args = args, .x = x, .w = w, .bias = &bias, .y = r.y});
    ref.run(op::Conv2dBackwardData{.args = args, .dy = dy, .w = w, .dx = r.dx});
    ref.run(
        op::Conv2dBackwardWeights{.args = args, .x = x, .dy = dy, .dw = r.dw, .dbias = &r.dbias});
    return r;
  }

  ConvShape shape;
  Tensor x, w, bias, dy;
};

void check_against_ref(const ConvShape& shape) {
  const Problem problem(shape);
  const Problem::Results got = problem.run(), expected = problem.run_ref();
  SCOPED_TRACE(::testing::PrintToString(shape));
  EXPECT_LE(relative_error(got.y, expected.y), Tolerance::kProduct) << "y";
  EXPECT_LE(relative_error(got.dx, expected.dx), Tolerance::kProduct) << "dx";
  EXPECT_LE(relative_error(got.dw, expected.dw), Tolerance::kProduct) << "dw";
  EXPECT_LE(relative_error(got.dbias, expected.dbias), Tolerance::kProduct) << "dbias";
}

class ConvTest : public ddpm::testing::EverySimd {};

TEST_P(ConvTest, AgreesForEveryChannelCountAroundAVector) {
  for (int64_t length = 1; length <= 34; ++length) {
    check_against_ref(square(2, 5, length, 7, 3));
    check_against_ref(square(2, 5, 9, length, 3));
    check_against_ref(square(1, 4, length, length, 1));
  }
}

TEST_P(ConvTest, AgreesForManyChannels) {
  check_against_ref(square(1, 6, 300, 40, 3));  // one tap is more than a block of the reduction
  check_against_ref(square(1, 6, 40, 300, 3));
  check_against_ref(square(3, 9, 96, 70, 1));
}

TEST_P(ConvTest, AgreesForOddKernelsStridesAndPaddings) {
  for (int64_t stride : {1, 2, 3}) {
    for (int64_t kernel : {1, 3, 5, 7}) {
      for (int64_t padding = 0; padding <= 3; ++padding) {
        ConvShape s = square(2, 8, 3, 5, kernel);
        s.width = 11;
        s.stride = stride;
        s.padding = padding;
        check_against_ref(s);
        s.channels = 20;
        check_against_ref(s);
      }
    }
  }
}

TEST_P(ConvTest, AgreesForKernelsThatAreNotSquare) {
  ConvShape s = square(2, 7, 18, 17, 3);
  s.kernel_width = 5;
  s.padding = 1;
  check_against_ref(s);
  s.channels = 3;
  check_against_ref(s);
  s.outputs = 4;
  check_against_ref(s);
}

TEST_P(ConvTest, AgreesForMapsSmallerThanTheKernel) {
  for (int64_t size : {1, 2}) {
    check_against_ref(square(3, size, 17, 6, 3));
    check_against_ref(square(1, size, 3, 6, 7));
  }
}

TEST_P(ConvTest, AgreesWhereManyTasksShareTheWork) {
  check_against_ref(square(4, 24, 24, 40, 3));
  check_against_ref(square(4, 24, 3, 40, 7));
  check_against_ref(square(4, 24, 3, 40, 1));
  check_against_ref(square(4, 24, 40, 3, 1));
}

TEST_P(ConvTest, AnEmptyBatchGivesZeroWeightGradients) {
  const Problem problem(square(0, 4, 3, 5, 3));
  const Problem::Results got = problem.run();
  EXPECT_EQ(relative_error(got.dw, Tensor::zeros(got.dw.shape())), 0);
  EXPECT_EQ(relative_error(got.dbias, Tensor::zeros(got.dbias.shape())), 0);
}

TEST_P(ConvTest, DoesNotDependOnTheThreadCount) {
  for (const ConvShape& shape :
       {square(3, 17, 19, 33, 3), square(3, 17, 3, 33, 7), square(2, 32, 3, 24, 1),
        square(1, 4, 70, 130, 3), square(3, 32, 24, 3, 1), square(1, 20, 700, 18, 1)}) {
    SCOPED_TRACE(::testing::PrintToString(shape));
    const Problem problem(shape);
    set_num_threads(1);
    const Problem::Results once = problem.run();
    for (int threads : {2, 3}) {
      set_num_threads(threads);
      const Problem::Results again = problem.run();
      EXPECT_TRUE(same_bits(once.y, again.y)) << threads << " threads, y";
      EXPECT_TRUE(same_bits(once.dx, again.dx)) << threads << " threads, dx";
      EXPECT_TRUE(same_bits(once.dw, again.dw)) << threads << " threads, dw";
      EXPECT_TRUE(same_bits(once.dbias, again.dbias)) << threads << " threads, dbias";
    }
  }
}

TEST_P(ConvTest, AnImageDoesNotDependOnItsBatch) {
  for (ConvShape shape :
       {square(5, 7, 37, 21, 3), square(5, 9, 3, 8, 3), square(5, 3, 70, 20, 1)}) {
    SCOPED_TRACE(::testing::PrintToString(shape));
    Problem problem(shape);
    const Problem::Results all = problem.run();
    problem.shape.batch = 1;
    problem.x = problem.x.rows(3, 4).clone();
    problem.dy = problem.dy.rows(3, 4).clone();
    const Problem::Results alone = problem.run();
    EXPECT_TRUE(same_bits(alone.y, all.y.rows(3, 4).clone())) << "y";
    EXPECT_TRUE(same_bits(alone.dx, all.dx.rows(3, 4).clone())) << "dx";
  }
}

DDPM_FOR_EVERY_SIMD(ConvTest);

}  // namespace
}  // namespace ddpm::cpu
