#include "ddpm/io/layout.h"

#include <gtest/gtest.h>

#include <numeric>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

// A tensor with the elements 0, 1, 2, ...
Tensor counted(Shape shape) {
  Tensor tensor(shape);
  std::iota(tensor.f32(), tensor.f32() + tensor.elements(), 0.0f);
  return tensor;
}

TEST(Layout, ImagesByHand) {
  const Tensor nchw = Tensor::of({1, 2, 1, 3}, {1, 2, 3, 10, 20, 30});
  const Tensor nhwc = from_pytorch(nchw, Layout::kImage);
  EXPECT_EQ(nhwc.shape(), Shape({1, 1, 3, 2}));
  EXPECT_EQ(nhwc.values(), (std::vector<float>{1, 10, 2, 20, 3, 30}));
}

TEST(Layout, LinearWeightsByHand) {
  const Tensor ours =
      from_pytorch(Tensor::of({2, 3}, {1, 2, 3, 10, 20, 30}), Layout::kLinearWeight);
  EXPECT_EQ(ours.shape(), Shape({3, 2}));
  EXPECT_EQ(ours.values(), (std::vector<float>{1, 10, 2, 20, 3, 30}));
}

TEST(Layout, EveryElementOfAnImageMovesToItsPlace) {
  const Tensor theirs = counted({3, 19, 5, 7});
  const Tensor ours = from_pytorch(theirs, Layout::kImage);
  ASSERT_EQ(ours.shape(), Shape({3, 5, 7, 19}));
  const float* value = ours.f32();
  for (int n = 0; n < 3; ++n)
    for (int h = 0; h < 5; ++h)
      for (int w = 0; w < 7; ++w)
        for (int c = 0; c < 19; ++c) ASSERT_EQ(*value++, ((n * 19 + c) * 5 + h) * 7 + w);
}

TEST(Layout, EveryElementOfAConvolutionWeightMovesToItsPlace) {
  const Tensor theirs = counted({33, 18, 3, 5});
  const Tensor ours = from_pytorch(theirs, Layout::kConvWeight);
  ASSERT_EQ(ours.shape(), Shape({3, 5, 18, 33}));
  const float* value = ours.f32();
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 5; ++x)
      for (int i = 0; i < 18; ++i)
        for (int o = 0; o < 33; ++o) ASSERT_EQ(*value++, ((o * 18 + i) * 3 + y) * 5 + x);
}

TEST(Layout, ThereAndBackIsTheSame) {
  const std::pair<Shape, Layout> cases[] = {{{2, 17, 4, 6}, Layout::kImage},
                                            {{17, 33, 3, 5}, Layout::kConvWeight},
                                            {{17, 33}, Layout::kLinearWeight},
                                            {{2, 3, 4}, Layout::kAsIs}};
  for (const auto& [shape, layout] : cases) {
    const Tensor theirs = counted(shape);
    const Tensor ours = from_pytorch(theirs, layout);
    EXPECT_EQ(ours.shape(), from_pytorch(shape, layout));
    const Tensor back = to_pytorch(ours, layout);
    EXPECT_EQ(back.shape(), shape);
    EXPECT_EQ(back.values(), theirs.values());
    EXPECT_EQ(to_pytorch(ours.shape(), layout), shape);
  }
}

TEST(Layout, EmptyTensorsKeepTheirExtents) {
  EXPECT_EQ(from_pytorch(Tensor({0, 3, 4, 5}), Layout::kImage).shape(), Shape({0, 4, 5, 3}));
  EXPECT_EQ(to_pytorch(Tensor({3, 3, 0, 5}), Layout::kConvWeight).shape(), Shape({5, 0, 3, 3}));
}

TEST(Layout, AWrongRankIsAnError) {
  EXPECT_THROW(from_pytorch(counted({2, 3}), Layout::kImage), Error);
  EXPECT_THROW(from_pytorch(counted({2, 3, 4}), Layout::kConvWeight), Error);
  EXPECT_THROW(to_pytorch(counted({2, 3, 1, 1}), Layout::kLinearWeight), Error);
}

TEST(Layout, StateDictRule) {
  EXPECT_EQ(state_dict_layout("init_conv.weight", 4), Layout::kConvWeight);
  EXPECT_EQ(state_dict_layout("time_mlp.1.weight", 2), Layout::kLinearWeight);
  EXPECT_EQ(state_dict_layout("block1.norm.weight", 1), Layout::kAsIs);
  EXPECT_EQ(state_dict_layout("init_conv.bias", 1), Layout::kAsIs);
  EXPECT_EQ(state_dict_layout("weight", 4), Layout::kConvWeight);
  EXPECT_EQ(state_dict_layout("class_embedding.weight", 2), Layout::kAsIs);
  EXPECT_EQ(state_dict_layout("class_embedding.linear_1.weight", 2), Layout::kLinearWeight);
  EXPECT_EQ(state_dict_layout("patch_embedding.weight", 4), Layout::kConvWeight);
  EXPECT_EQ(state_dict_layout("x", 4), Layout::kAsIs);
}

}  // namespace
}  // namespace ddpm
