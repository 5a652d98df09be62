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
  ref.space_to_depth(2, x, y);
  EXPECT_EQ(y.values(), (Values{0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15}));
  ref.depth_to_space(2, y, back);
  EXPECT_EQ(back.values(), x.values());
}

TEST(RefReshape, SpaceToDepthKeepsImagesApart) {
  RefBackend ref;
  const Tensor x = counting({2, 3, 3, 1});
  Tensor y({2, 1, 1, 9});
  ref.space_to_depth(3, x, y);
  EXPECT_EQ(y.values(), x.values());
}

TEST(RefReshape, UpsampleRepeatsAndItsGradientSums) {
  RefBackend ref;
  const Tensor x = Tensor::of({2, 1, 2, 1}, {1, 2, 3, 4});
  Tensor y({2, 2, 4, 1}), dx(x.shape());
  ref.upsample_nearest(x, y);
  EXPECT_EQ(y.values(), (Values{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4}));
  ref.upsample_nearest_backward(counting({2, 2, 4, 1}), dx);
  EXPECT_EQ(dx.values(),
            (Values{0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15}));
}

TEST(RefReshape, ConcatAndSplitAreInverse) {
  RefBackend ref;
  const Tensor a = Tensor::of({1, 1, 2, 1}, {1, 2}), b = Tensor::of({1, 1, 2, 2}, {3, 4, 5, 6});
  Tensor y({1, 1, 2, 3}), a2(a.shape()), b2(b.shape());
  ref.concat_channels(a, b, y);
  EXPECT_EQ(y.values(), (Values{1, 3, 4, 2, 5, 6}));
  ref.split_channels(y, &a2, nullptr);
  ref.split_channels(y, nullptr, &b2);
  EXPECT_EQ(a2.values(), a.values());
  EXPECT_EQ(b2.values(), b.values());
}

}  // namespace
}  // namespace ddpm
