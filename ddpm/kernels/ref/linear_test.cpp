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

}  // namespace
}  // namespace ddpm
