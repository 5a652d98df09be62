// What operations tell about themselves.
#include "ddpm/kernels/operations.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace ddpm {
namespace {

TEST(Operations, HaveNamesOfTheirOwn) {
  const std::vector<std::string> names = {
#define DDPM_NAME(Operation) op::Operation::kName,
      DDPM_FOR_EACH_OPERATION(DDPM_NAME)
#undef DDPM_NAME
  };
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

TEST(Operations, ArithmeticCountsProductsOnly) {
  const Tensor x({2, 8, 8, 4}), w({3, 3, 4, 5}), rows({3, 7}), matrix({7, 6});
  Tensor y({2, 4, 4, 5}), sum(x.shape()), product({3, 6});
  EXPECT_EQ(op::flops_of(op::Conv2d{.args = {.stride = 2, .padding = 1}, .x = x, .w = w, .y = y}),
            2.0 * 2 * 4 * 4 * 5 * 9 * 4);
  EXPECT_EQ(op::flops_of(op::Linear{.x = rows, .w = matrix, .y = product}), 2.0 * 3 * 7 * 6);
  EXPECT_EQ(op::flops_of(op::Add{.a = x, .b = x, .y = sum}), 0);
}

// Two heads of 3 channels on 4 x 5 positions.
TEST(Operations, AttentionIsQuadraticInPositionsAndLinearAttentionIsNot) {
  const Tensor qkv({1, 4, 5, 18});
  Tensor out({1, 4, 5, 6}), lse({1, 2, 20}), context({1, 2, 3, 3}), k_max({1, 6}), k_sum({1, 6});
  EXPECT_EQ(
      op::flops_of(op::Attention{.args = {.heads = 2}, .qkv = qkv, .out = out, .logsumexp = lse}),
      2.0 * 2 * 20 * 20 * 6);
  EXPECT_EQ(op::flops_of(op::LinearAttention{.args = {.heads = 2},
                                             .qkv = qkv,
                                             .out = out,
                                             .context = context,
                                             .k_max = k_max,
                                             .k_sum = k_sum}),
            2.0 * 2 * 20 * 3 * 6);
}

TEST(Operations, TellTheSizeOfTheirWork) {
  const Tensor x({2, 8, 9, 4}), w({3, 3, 4, 5});
  Tensor y({2, 8, 9, 5}), sum(x.shape());
  const op::Conv2d convolution{.args = {.padding = 1}, .x = x, .w = w, .y = y};
  EXPECT_EQ(op::shape_of(convolution), "3x3 4->5 on 2x8x9");
  EXPECT_EQ(op::shape_of(op::Activate{.kind = Activation::kSilu, .x = x, .y = sum}), "2x8x9x4");
  EXPECT_EQ(op::label_of(convolution), "conv2d");
}

}  // namespace
}  // namespace ddpm
