#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using Values = std::vector<float>;

Tensor counting(Shape shape) {
  Tensor tensor(shape);
  std::iota(tensor.f32(), tensor.f32() + tensor.elements(), 0.0f);
  return tensor;
}

TEST(RefReshape, SpaceToDepthPutsTheCellInsideTheChannel) {
  RefBackend ref;
  // x[h, w, c] = 8 h + 2 w + c.
  const Tensor x = counting({1, 2, 4, 2});
  Tensor y({1, 1, 2, 8}), back(x.shape());
  ref.run(op::SpaceToDepth{.size = 2, .x = x, .y = y});
  EXPECT_EQ(y.values(), (Values{0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15}));
  ref.run(op::DepthToSpace{.size = 2, .x = y, .y = back});
  EXPECT_EQ(back.values(), x.values());
}

TEST(RefReshape, SpaceToDepthKeepsImagesApart) {
  RefBackend ref;
  const Tensor x = counting({2, 3, 3, 1});
  Tensor y({2, 1, 1, 9});
  ref.run(op::SpaceToDepth{.size = 3, .x = x, .y = y});
  EXPECT_EQ(y.values(), x.values());
}

TEST(RefReshape, UpsampleRepeatsAndItsGradientSums) {
  RefBackend ref;
  const Tensor x = Tensor::of({2, 1, 2, 1}, {1, 2, 3, 4});
  Tensor y({2, 2, 4, 1}), dx(x.shape());
  ref.run(op::UpsampleNearest{.x = x, .y = y});
  EXPECT_EQ(y.values(), (Values{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4}));
  ref.run(op::UpsampleNearestBackward{.dy = counting({2, 2, 4, 1}), .dx = dx});
  EXPECT_EQ(dx.values(),
            (Values{0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15}));
}

TEST(RefReshape, ConcatAndSplitAreInverse) {
  RefBackend ref;
  const Tensor a = Tensor::of({1, 1, 2, 1}, {1, 2}), b = Tensor::of({1, 1, 2, 2}, {3, 4, 5, 6});
  Tensor y({1, 1, 2, 3}), a2(a.shape()), b2(b.shape());
  ref.run(op::ConcatChannels{.a = a, .b = b, .y = y});
  EXPECT_EQ(y.values(), (Values{1, 3, 4, 2, 5, 6}));
  ref.run(op::SplitChannels{.y = y, .a = &a2});
  ref.run(op::SplitChannels{.y = y, .b = &b2});
  EXPECT_EQ(a2.values(), a.values());
  EXPECT_EQ(b2.values(), b.values());
}

}  // namespace
}  // namespace ddpm
