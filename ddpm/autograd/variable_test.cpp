#include "ddpm/autograd/variable.h"

#include <gtest/gtest.h>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {
namespace {

TEST(Tape, AValueUsedTwiceGetsBothGradients) {
  const Variable x = Variable::leaf(Tensor::of({2}, {1, 2}));
  Tape tape;
  Variable y;
  {
    Tape::Recording recording(tape);
    const Variable twice = add(x, x);
    y = add(twice, add(twice, x));
  }
  tape.backward(y, Tensor::of({2}, {1, 10}));
  EXPECT_EQ(x.grad().values(), (std::vector<float>{5, 50}));
  EXPECT_EQ(tape.size(), 0u);
}

TEST(Tape, TheCallersGradientIsNotWrittenTo) {
  const Variable x = Variable::leaf(Tensor::of({1}, {1}));
  Tape tape;
  Variable y;
  {
    Tape::Recording recording(tape);
    y = add(add(x, x), x);
  }
  const Tensor seed = Tensor::of({1}, {1});
  tape.backward(y, seed);
  EXPECT_EQ(seed.values()[0], 1);
  EXPECT_EQ(x.grad().values()[0], 3);
}

TEST(Tape, NothingIsRecordedOutsideAScopeOrForConstants) {
  const Variable x = Variable::leaf(Tensor::of({1}, {1})), constant(Tensor::of({1}, {1}));
  EXPECT_FALSE(add(x, x).requires_grad());
  Tape tape;
  Tape::Recording recording(tape);
  EXPECT_FALSE(add(constant, constant).requires_grad());
  EXPECT_EQ(tape.size(), 0u);
  EXPECT_TRUE(add(constant, x).requires_grad());
}

TEST(Tape, BackwardOfAnUnrecordedValueIsAnError) {
  Tape tape;
  EXPECT_THROW(tape.backward(Variable(Tensor::of({1}, {1})), Tensor::of({1}, {1})), Error);
}

TEST(Tape, ActivationsAreFreedAsTheGradientPasses) {
  const Variable x = Variable::leaf(Tensor::full({1 << 16}, 0.5f));
  const int64_t before = allocator_stats().bytes_in_use;
  Tape tape;
  Variable y = x;
  {
    Tape::Recording recording(tape);
    for (int i = 0; i < 20; ++i) y = activation(Activation::kSilu, y);
  }
  reset_allocator_peak();
  const int64_t recorded = allocator_stats().bytes_in_use - before;
  tape.backward(y, Tensor::full({1 << 16}, 1));
  EXPECT_LT(allocator_stats().peak_bytes_in_use - before, recorded + 4 * (int64_t{1} << 18));
  y = Variable();
  EXPECT_LE(allocator_stats().bytes_in_use - before, int64_t{1} << 18);
}

TEST(Doors, WrongShapesAreNamed) {
  const Variable x(Tensor({1, 4, 4, 3})), w(Tensor({3, 3, 4, 8})), bias(Tensor({7}));
  EXPECT_THROW(conv2d(x, w, nullptr, {}), Error);
  const Variable wide(Tensor({3, 3, 3, 8}));
  EXPECT_THROW(conv2d(x, wide, &bias, {}), Error);
  EXPECT_THROW(conv2d(x, Variable(Tensor({7, 7, 3, 8})), nullptr, {}), Error);
  EXPECT_THROW(group_norm(x, Variable(Tensor({3})), Variable(Tensor({3})), nullptr, {.groups = 2}),
               Error);
  EXPECT_THROW(linear(Variable(Tensor({2, 3})), Variable(Tensor({4, 5})), nullptr), Error);
  EXPECT_THROW(add(x, w), Error);
  EXPECT_THROW(attention(x, {.heads = 2}), Error);
  EXPECT_THROW(linear_attention(x, {.heads = 2}), Error);
  const Variable w_qkv(Tensor({1, 1, 3, 12})), w_out(Tensor({1, 1, 4, 7}));
  EXPECT_NO_THROW(linear_attention(x, w_qkv, w_out, bias, {.heads = 2}));
  EXPECT_THROW(linear_attention(w, w_qkv, w_out, bias, {.heads = 2}), Error);
  EXPECT_THROW(linear_attention(x, w_qkv, w_out, bias, {.heads = 3}), Error);
  EXPECT_THROW(linear_attention(x, w_qkv, Variable(Tensor({1, 1, 5, 7})), bias, {.heads = 2}),
               Error);
  EXPECT_THROW(linear_attention(x, w_qkv, Variable(Tensor({1, 1, 4, 8})), bias, {.heads = 2}),
               Error);
  EXPECT_THROW(space_to_depth(x, 3), Error);
  EXPECT_THROW(concat_channels(x, Variable(Tensor({1, 4, 5, 3}))), Error);
  EXPECT_THROW(mean_loss(LossKind::kMse, x, Tensor({1, 4, 4, 4})), Error);
  EXPECT_THROW(mean_loss(LossKind::kMse, x, x.value(), Tensor({2})), Error);
  const Tensor half({1, 4, 4, 2}), odd({1, 4, 4, 3});
  const auto hybrid = [](const Tensor& output, const Tensor& target, const Tensor& weights,
                         const Tensor& x0, size_t levels) {
    const std::vector<BoundLevel> of_images(levels, {.log_low = -2, .log_high = -1});
    return hybrid_loss(LossKind::kMse, Variable(output), target, weights,
                       {.x0 = x0, .levels = of_images, .weight = 1});
  };
  const Tensor both = Tensor::zeros({1, 4, 4, 4});
  EXPECT_NO_THROW(hybrid(both, half, Tensor({1}), half, 1));
  EXPECT_THROW(hybrid(odd, half, {}, half, 1), Error);
  EXPECT_THROW(hybrid(both, odd, {}, half, 1), Error);
  EXPECT_THROW(hybrid(both, half, {}, odd, 1), Error);
  EXPECT_THROW(hybrid(both, half, Tensor({2}), half, 1), Error);
  EXPECT_THROW(hybrid(both, half, {}, half, 2), Error);
}

}  // namespace
}  // namespace ddpm
