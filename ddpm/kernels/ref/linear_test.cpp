#include <gtest/gtest.h>

#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using Values = std::vector<float>;

TEST(RefLinear, MultipliesRowsByTheMatrix) {
  RefBackend ref;
  const Tensor x = Tensor::of({2, 2}, {1, 2, 3, 4}), w = Tensor::of({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor bias = Tensor::of({3}, {10, 20, 30});
  Tensor y({2, 3});
  ref.run(op::Linear{.x = x, .w = w, .bias = &bias, .y = y});
  EXPECT_EQ(y.values(), (Values{19, 32, 45, 29, 46, 63}));
}

TEST(RefLinear, GradientsMultiplyByTheTransposes) {
  RefBackend ref;
  const Tensor x = Tensor::of({2, 2}, {1, 2, 3, 4}), w = Tensor::of({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor dy = Tensor::of({2, 3}, {1, 0, 2, 0, 3, 1});
  Tensor dx({2, 2}), dw({2, 3}), dbias({3});
  ref.run(op::LinearBackwardData{.dy = dy, .w = w, .dx = dx});
  ref.run(op::LinearBackwardWeights{.x = x, .dy = dy, .dw = dw, .dbias = &dbias});
  EXPECT_EQ(dx.values(), (Values{7, 16, 9, 21}));
  EXPECT_EQ(dw.values(), (Values{1, 9, 5, 2, 12, 8}));
  EXPECT_EQ(dbias.values(), (Values{1, 3, 3}));
}

TEST(RefLinear, LooksRowsUpAndMinusOneIsTheLast) {
  RefBackend ref;
  const Tensor rows = Tensor::of({4}, {1, -1, 0, 1});
  const Tensor w = Tensor::of({3, 2}, {1, 2, 3, 4, 5, 6});
  Tensor y({4, 2});
  ref.run(op::Lookup{.rows = rows, .w = w, .y = y});
  EXPECT_EQ(y.values(), (Values{3, 4, 5, 6, 1, 2, 3, 4}));
}

TEST(RefLinear, TheGradientOfARowIsTheSumOverItsUses) {
  RefBackend ref;
  const Tensor rows = Tensor::of({4}, {1, -1, 3, 1});
  const Tensor dy = Tensor::of({4, 2}, {1, 2, 10, 20, 100, 200, 5, 6});
  Tensor dw({4, 2});
  ref.run(op::LookupBackward{.rows = rows, .dy = dy, .dw = dw});
  EXPECT_EQ(dw.values(), (Values{0, 0, 6, 8, 0, 0, 110, 220}));
}

}  // namespace
}  // namespace ddpm
