#include "ddpm/autograd/recompute.h"

#include <gtest/gtest.h>

#include "ddpm/autograd/functions.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {
namespace {

// Computes x + silu(silu(w x)) twice in a row. x is also used outside of the recomputed part.
struct Outcome {
  std::vector<float> y, dx, dw;
};
Outcome run(bool recomputed) {
  const Variable x = Variable::leaf(Tensor::of({3, 2}, {1, -2, 0.3f, 4, 0.7f, -1}));
  const Variable w = Variable::leaf(Tensor::of({2, 2}, {0.3f, -0.7f, 1.1f, 0.2f}));
  Tape tape;
  Variable y;
  {
    const Tape::Recording recording(tape);
    Variable h = x;
    for (int i = 0; i < 2; ++i) {
      const auto block = [h, w] {
        const Variable inner = activation(Activation::kSilu, linear(h, w, nullptr));
        return add(h, activation(Activation::kSilu, inner));
      };
      h = recomputed ? recompute(block) : block();
    }
    y = add(h, x);
  }
  tape.backward(y, Tensor::of({3, 2}, {1, 2, 3, 4, 5, 6}));
  return {y.value().values(), x.grad().values(), w.grad().values()};
}

TEST(Recompute, OutputAndGradientsHaveTheSameBits) {
  const Outcome plain = run(false), recomputed = run(true);
  EXPECT_EQ(recomputed.y, plain.y);
  EXPECT_EQ(recomputed.dx, plain.dx);
  EXPECT_EQ(recomputed.dw, plain.dw);
}

TEST(Recompute, KeepsOnlyTheEnds) {
  const Variable x = Variable::leaf(Tensor::full({1 << 16}, 0.5f));
  const int64_t before = allocator_stats().bytes_in_use;
  Tape tape;
  const Tape::Recording recording(tape);
  const Variable y = recompute([x] {
    Variable h = x;
    for (int i = 0; i < 10; ++i) h = activation(Activation::kSilu, h);
    return h;
  });
  EXPECT_EQ(allocator_stats().bytes_in_use - before, int64_t{4} << 16);
}

TEST(Recompute, OutsideATapeItIsACall) {
  const Variable x = Variable::leaf(Tensor::of({1}, {1}));
  EXPECT_FALSE(recompute([x] { return add(x, x); }).requires_grad());
}

}  // namespace
}  // namespace ddpm
