#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {
namespace {

using Values = std::vector<float>;

// Two positions, one head of d = 1: channels q, k, v.
TEST(RefAttention, WeighsValuesByTheSoftmaxOfScores) {
  RefBackend ref;
  const Tensor qkv = Tensor::of({1, 1, 2, 3}, {1, 0, 10, 2, std::log(3.0f), 20});
  Tensor out({1, 1, 2, 1}), lse({1, 1, 2});
  ref.run(op::Attention{.args = {.heads = 1}, .qkv = qkv, .out = out, .logsumexp = lse});
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
  Tensor out({1, 1, 2, 8}), lse({1, 2, 2});
  ref.run(op::Attention{.args = {.heads = 2}, .qkv = qkv, .out = out, .logsumexp = lse});
  for (int64_t c = 0; c < 8; ++c) EXPECT_FLOAT_EQ(out.f32()[c], c < 4 ? 2 : 3);
}

TEST(RefAttention, HugeScoresStayFinite) {
  RefBackend ref;
  const Tensor qkv = Tensor::of({1, 1, 2, 3}, {1e3, 1e3, 1, -1e3, -1e3, 2});
  Tensor out({1, 1, 2, 1}), lse({1, 1, 2}), dqkv(qkv.shape());
  ref.run(op::Attention{.args = {.heads = 1}, .qkv = qkv, .out = out, .logsumexp = lse});
  EXPECT_EQ(out.values(), (Values{1, 2}));
  ref.run(op::AttentionBackward{.args = {.heads = 1},
                                .dout = Tensor::full(out.shape(), 1),
                                .qkv = qkv,
                                .out = out,
                                .logsumexp = lse,
                                .dqkv = dqkv});
  EXPECT_EQ(dqkv.values(), (Values{0, 0, 1, 0, 0, 1}));
}

TEST(RefLinearAttention, ReadsTheContextThroughTheSoftmaxOfQ) {
  RefBackend ref;
  // One head of d = 2. k softmax over positions: channel 0 1/4, 3/4; channel 1 1/2, 1/2.
  const float log3 = std::log(3.0f);
  const Tensor qkv = Tensor::of({1, 1, 2, 6}, {0, 0, 0, 0, 4, 8,  //
                                               log3, 0, log3, 0, 8, 0});
  Tensor out({1, 1, 2, 2}), context({1, 1, 2, 2}), k_max({1, 2}), k_sum({1, 2});
  ref.run(op::LinearAttention{.args = {.heads = 1},
                              .qkv = qkv,
                              .out = out,
                              .context = context,
                              .k_max = k_max,
                              .k_sum = k_sum});
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

// Gradients against central differences of sum(dout * out).
template <class Forward>
void expect_gradient(Tensor& qkv, const Tensor& dqkv, const Tensor& dout, Forward&& forward) {
  const auto objective = [&] {
    const Tensor out = forward();
    double sum = 0;
    for (int64_t i = 0; i < out.elements(); ++i) sum += double{out.f32()[i]} * dout.f32()[i];
    return sum;
  };
  for (int64_t i = 0; i < qkv.elements(); ++i) {
    const float kept = qkv.f32()[i], h = 0x1p-7f;
    qkv.f32()[i] = kept + h;
    const double up = objective();
    qkv.f32()[i] = kept - h;
    const double down = objective();
    qkv.f32()[i] = kept;
    EXPECT_NEAR(dqkv.f32()[i], (up - down) / (2 * h), 1e-3) << i;
  }
}

TEST(RefAttention, GradientMatchesFiniteDifferences) {
  RefBackend ref;
  const AttentionArgs args{.heads = 2};
  Tensor qkv({2, 2, 2, 18}), dout({2, 2, 2, 6}), out({2, 2, 2, 6}), lse({2, 2, 4});
  ref.run(op::Normal{.seeds = {1, 2}, .stream = 0, .x = qkv});
  ref.run(op::Normal{.seeds = {3, 4}, .stream = 0, .x = dout});
  Tensor dqkv(qkv.shape());
  ref.run(op::Attention{.args = args, .qkv = qkv, .out = out, .logsumexp = lse});
  ref.run(op::AttentionBackward{
      .args = args, .dout = dout, .qkv = qkv, .out = out, .logsumexp = lse, .dqkv = dqkv});
  expect_gradient(qkv, dqkv, dout, [&] {
    ref.run(op::Attention{.args = args, .qkv = qkv, .out = out, .logsumexp = lse});
    return out;
  });
}

TEST(RefLinearAttention, GradientMatchesFiniteDifferences) {
  RefBackend ref;
  const AttentionArgs args{.heads = 2};
  Tensor qkv({2, 2, 2, 18}), dout({2, 2, 2, 6}), out({2, 2, 2, 6});
  Tensor context({2, 2, 3, 3}), k_max({2, 6}), k_sum({2, 6});
  ref.run(op::Normal{.seeds = {1, 2}, .stream = 0, .x = qkv});
  ref.run(op::Normal{.seeds = {3, 4}, .stream = 0, .x = dout});
  Tensor dqkv(qkv.shape());
  ref.run(op::LinearAttention{
      .args = args, .qkv = qkv, .out = out, .context = context, .k_max = k_max, .k_sum = k_sum});
  ref.run(op::LinearAttentionBackward{.args = args,
                                      .dout = dout,
                                      .qkv = qkv,
                                      .context = context,
                                      .k_max = k_max,
                                      .k_sum = k_sum,
                                      .dqkv = dqkv});
  expect_gradient(qkv, dqkv, dout, [&] {
    ref.run(op::LinearAttention{
        .args = args, .qkv = qkv, .out = out, .context = context, .k_max = k_max, .k_sum = k_sum});
    return out;
  });
}

}  // namespace
}  // namespace ddpm
