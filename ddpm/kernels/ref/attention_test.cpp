#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ddpm/kernels/ref/attention_test_support.h"
#include "ddpm/kernels/ref/gradient_test_support.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;
using Values = std::vector<float>;

// Two positions, one head of d = 1: channels q, k, v.
TEST(RefAttention, WeighsValuesByTheSoftmaxOfScores) {
  RefBackend ref;
  const Tensor qkv = Tensor::of({1, 1, 2, 3}, {1, 0, 10, 2, std::log(3.0f), 20});
  const auto [out, lse] = attention(ref, {.heads = 1}, qkv);
  EXPECT_FLOAT_EQ(out.f32()[0], 17.5f);  // weights 1/4, 3/4
  EXPECT_FLOAT_EQ(out.f32()[1], 19.0f);  // weights 1/10, 9/10
  EXPECT_FLOAT_EQ(lse.f32()[0], std::log(4.0f));
  EXPECT_FLOAT_EQ(lse.f32()[1], std::log(10.0f));
}

TEST(RefAttention, HeadsAreConsecutiveChannelsScaledByTheRootOfTheirWidth) {
  RefBackend ref;
  // Two heads of d = 4; only head 1 has unequal scores: 4 * (q k) / sqrt(4) = 2 log 3 apart.
  Tensor qkv = Tensor::zeros({1, 1, 2, 24});
  for (int64_t c = 4; c < 8; ++c) {
    qkv.f32()[c] = 1;
    qkv.f32()[24 + 8 + c] = std::log(3.0f) / 2;
  }
  for (int64_t c = 0; c < 8; ++c) qkv.f32()[24 + 16 + c] = 4;
  const Tensor out = attention(ref, {.heads = 2}, qkv).out;
  for (int64_t c = 0; c < 8; ++c) EXPECT_FLOAT_EQ(out.f32()[c], c < 4 ? 2 : 3);
}

TEST(RefAttention, HugeScoresStayFinite) {
  RefBackend ref;
  const Tensor qkv = Tensor::of({1, 1, 2, 3}, {1e3, 1e3, 1, -1e3, -1e3, 2});
  const AttentionResult got = attention(ref, {.heads = 1}, qkv);
  EXPECT_EQ(got.out.values(), (Values{1, 2}));
  Tensor dqkv(qkv.shape());
  attention_backward(ref, {.heads = 1}, Tensor::full(got.out.shape(), 1), qkv, got, dqkv);
  EXPECT_EQ(dqkv.values(), (Values{0, 0, 1, 0, 0, 1}));
}

TEST(RefLinearAttention, ReadsTheContextThroughTheSoftmaxOfQ) {
  RefBackend ref;
  // One head of d = 2. k softmax over positions: channel 0 1/4, 3/4; channel 1 1/2, 1/2.
  const float log3 = std::log(3.0f);
  const Tensor qkv = Tensor::of({1, 1, 2, 6}, {0, 0, 0, 0, 4, 8,  //
                                               log3, 0, log3, 0, 8, 0});
  const auto [out, context, k_max, k_sum] = linear_attention(ref, {.heads = 1}, qkv);
  const Values expected_context = {7, 2, 6, 4};
  const float root = std::sqrt(2.0f);
  const Values expected = {6.5f / root, 3 / root, 6.75f / root, 2.5f / root};
  for (int i = 0; i < 4; ++i) {
    EXPECT_FLOAT_EQ(context.f32()[i], expected_context[i]);
    EXPECT_FLOAT_EQ(out.f32()[i], expected[i]);
  }
  EXPECT_EQ(k_max.values(), (Values{log3, 0}));
  EXPECT_FLOAT_EQ(k_sum.f32()[0], 4.0f / 3);
  EXPECT_FLOAT_EQ(k_sum.f32()[1], 2);
}

struct GradientProblem {
  GradientProblem() {
    ref.run(op::Normal{.seeds = {1, 2}, .stream = 0, .x = qkv});
    ref.run(op::Normal{.seeds = {3, 4}, .stream = 0, .x = dout});
  }

  RefBackend ref;
  const AttentionArgs args{.heads = 2};
  Tensor qkv{Shape{2, 2, 2, 18}}, dout{Shape{2, 2, 2, 6}}, dqkv{qkv.shape()};
};

TEST(RefAttention, GradientMatchesFiniteDifferences) {
  GradientProblem p;
  attention_backward(p.ref, p.args, p.dout, p.qkv, attention(p.ref, p.args, p.qkv), p.dqkv);
  expect_central_differences("qkv", p.qkv, p.dqkv, 1e-3,
                             [&] { return inner(attention(p.ref, p.args, p.qkv).out, p.dout); });
}

TEST(RefLinearAttention, GradientMatchesFiniteDifferences) {
  GradientProblem p;
  linear_attention_backward(p.ref, p.args, p.dout, p.qkv, linear_attention(p.ref, p.args, p.qkv),
                            p.dqkv);
  expect_central_differences("qkv", p.qkv, p.dqkv, 1e-3, [&] {
    return inner(linear_attention(p.ref, p.args, p.qkv).out, p.dout);
  });
}

}  // namespace
}  // namespace ddpm
