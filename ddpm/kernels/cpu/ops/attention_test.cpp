#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"
#include "ddpm/kernels/ref/attention_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

constexpr int64_t kChannels = 5;  // of x
constexpr int64_t kOutputs = 6;   // of y

struct Problem {
  Problem(Shape positions, int64_t heads, int64_t width, float spread = 1, int64_t remembered = 0)
      : args{.heads = heads},
        qkv(normal_tensor({positions[0], positions[1], positions[2], 3 * heads * width}, 1)),
        dout(normal_tensor({positions[0], positions[1], positions[2], heads * width}, 2)),
        x(normal_tensor({positions[0], positions[1], positions[2], kChannels}, 3)),
        dy(normal_tensor({positions[0], positions[1], positions[2], kOutputs}, 4)),
        w_qkv(normal_tensor({1, 1, kChannels, 3 * heads * width}, 5)),
        w_out(normal_tensor({1, 1, heads * width, kOutputs}, 6)),
        bias(normal_tensor({kOutputs}, 7)),
        rows(normal_tensor({2, heads, remembered, width}, 8)),
        columns(normal_tensor({2, heads, width, remembered}, 9)) {
    for (int64_t i = 0; i < qkv.elements(); ++i) qkv.f32()[i] *= spread;
    for (int64_t i = 0; i < w_qkv.elements(); ++i) w_qkv.f32()[i] *= spread;
  }

  // A memory, and the gradient of one; null if it is empty.
  static const Tensor* there(const Tensor& memory) {
    return memory.elements() > 0 ? &memory : nullptr;
  }
  static Tensor* there(Tensor& memory) { return memory.elements() > 0 ? &memory : nullptr; }

  // Backward passes start from ref's forward results, so that both backends solve one problem.
  std::vector<Output> full_attention(Backend& on, int64_t begin, int64_t end,
                                     bool weights = false) const {
    const Tensor in = qkv.rows(begin, end), grad = dout.rows(begin, end);
    const Tensor* memory = there(rows);
    const AttentionResult got = attention(on, args, in, memory);
    RefBackend ref;
    Tensor dqkv = unwritten(in.shape()), dmemory = unwritten(rows.shape());
    attention_backward(on, args, grad, in, attention(ref, args, in, memory), dqkv, memory,
                       there(dmemory));
    std::vector<Output> outputs = {{"out", got.out}, {"logsumexp", got.logsumexp}, {"dqkv", dqkv}};
    if (weights && memory) outputs.push_back({"dmemory", dmemory});
    return outputs;
  }

  std::vector<Output> linear(Backend& on, int64_t begin, int64_t end, bool weights = false) const {
    const Tensor in = qkv.rows(begin, end), grad = dout.rows(begin, end);
    const Tensor* memory = there(columns);
    const LinearAttentionResult got = linear_attention(on, args, in, memory);
    RefBackend ref;
    const LinearAttentionResult of_ref = linear_attention(ref, args, in, memory);
    Tensor dqkv = unwritten(in.shape()), in_place = in.clone();
    Tensor dmemory = unwritten(columns.shape());
    linear_attention_backward(on, args, grad, in, of_ref, dqkv, memory, there(dmemory));
    linear_attention_backward(on, args, grad, in_place, of_ref, in_place, memory, there(dmemory));
    EXPECT_TRUE(same_bits(in_place, dqkv));
    std::vector<Output> outputs = {{"out", got.out},
                                   {"context", got.context},
                                   {"k_max", got.k_max},
                                   {"k_sum", got.k_sum},
                                   {"dqkv", dqkv}};
    if (weights && memory) outputs.push_back({"dmemory", dmemory});
    return outputs;
  }

  struct Projected {
    std::vector<Output> of_image, of_weights;
  };
  Projected projected(Backend& on, int64_t begin, int64_t end) const {
    const Tensor in = x.rows(begin, end), grad = dy.rows(begin, end);
    const int64_t images = end - begin, hidden = w_out.size(2);
    const auto sums_by = [&](Tensor (*make)(Shape)) {
      return LinearAttentionSums{make({images, hidden}), make({images, hidden}),
                                 make({images, hidden, kChannels})};
    };
    LinearAttentionSums sums = sums_by(unwritten), ref_sums = sums_by(unwritten);
    const AttentionProjections w{w_qkv, w_out, bias};
    Tensor y = unwritten(grad.shape()), ref_y = unwritten(grad.shape());
    const Tensor* memory = there(columns);
    on.run(op::ProjectedLinearAttention{
        .args = args, .x = in, .w = w, .memory = memory, .y = y, .sums = sums});
    RefBackend().run(op::ProjectedLinearAttention{
        .args = args, .x = in, .w = w, .memory = memory, .y = ref_y, .sums = ref_sums});
    Tensor dmemory = unwritten(columns.shape());
    Tensor dx = unwritten(in.shape()), dw_qkv = unwritten(w_qkv.shape());
    Tensor dw_out = unwritten(w_out.shape()), dbias = unwritten(bias.shape());
    on.run(op::ProjectedLinearAttentionBackward{.args = args,
                                                .dy = grad,
                                                .x = in,
                                                .w = w,
                                                .memory = memory,
                                                .sums = ref_sums,
                                                .dx = dx,
                                                .dw_qkv = dw_qkv,
                                                .dw_out = dw_out,
                                                .dbias = dbias,
                                                .dmemory = there(dmemory)});
    Projected outputs{{{"y", y},
                       {"k_max", sums.k_max},
                       {"k_sum", sums.k_sum},
                       {"gathered", sums.gathered},
                       {"dx", dx}},
                      {{"dw_qkv", dw_qkv}, {"dw_out", dw_out}, {"dbias", dbias}}};
    if (memory) outputs.of_weights.push_back({"dmemory", dmemory});
    return outputs;
  }
  std::vector<Output> all_projected(Backend& on) const {
    Projected got = projected(on, 0, images());
    got.of_image.insert(got.of_image.end(), got.of_weights.begin(), got.of_weights.end());
    return got.of_image;
  }

  int64_t images() const { return qkv.size(0); }

  AttentionArgs args;
  Tensor qkv, dout;
  Tensor x, dy;
  Tensor w_qkv, w_out, bias;
  Tensor rows, columns;  // memories of softmax attention and of linear attention
};

void check(Shape positions, int64_t heads, int64_t width, int64_t remembered = 0) {
  const Problem problem(positions, heads, width, 1, remembered);
  const std::string what = positions.str() + ", " + std::to_string(heads) + " heads of " +
                           std::to_string(width) + ", " + std::to_string(remembered) +
                           " remembered";
  const int64_t images = problem.images();
  expect_agrees_with_ref([&](Backend& on) { return problem.full_attention(on, 0, images, true); },
                         what + ", full");
  expect_agrees_with_ref([&](Backend& on) { return problem.linear(on, 0, images, true); },
                         what + ", linear");
  expect_agrees_with_ref([&](Backend& on) { return problem.all_projected(on); },
                         what + ", linear, projected");
}

class AttentionTest : public EverySimd {};

TEST_P(AttentionTest, AgreesForAnyHeads) {
  for (int64_t width : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33}) check({2, 3, 4}, 2, width);
  check({1, 4, 4}, 1, 64);
  check({2, 4, 4}, 4, 32);
}

TEST_P(AttentionTest, AgreesForAnyNumberOfPositions) {
  for (int64_t positions : {1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 300, 511, 513}) {
    check({1, 1, positions}, 2, 8);
  }
}

TEST_P(AttentionTest, AgreesWithKeysAndValuesOfItsOwn) {
  for (int64_t remembered : {1, 3, 4, 8, 17, 130}) check({3, 5, 7}, 2, 8, remembered);
  for (int64_t width : {1, 7, 16, 33}) check({2, 3, 4}, 3, width, 4);
  check({2, 20, 17}, 4, 32, 4);
}

// Scores of hundreds: weights of zero and one, no overflow.
TEST_P(AttentionTest, LargeScoresStayFinite) {
  const Problem problem({1, 13, 11}, 2, 8, 20);
  CpuBackend cpu;
  for (const auto& outputs :
       {problem.full_attention(cpu, 0, 1), problem.linear(cpu, 0, 1), problem.all_projected(cpu)}) {
    for (const Output& output : outputs) {
      for (float value : output.tensor.values()) ASSERT_TRUE(std::isfinite(value)) << output.name;
    }
  }
}

TEST_P(AttentionTest, BitsDoNotDependOnThreadsOrBatch) {
  for (const int64_t remembered : {0, 4}) {
    const Problem problem({3, 20, 15}, 4, 16, 1, remembered);
    expect_same_bits_for_any_thread_count(
        [&](Backend& on) { return problem.full_attention(on, 0, 3, true); });
    expect_same_bits_for_any_thread_count(
        [&](Backend& on) { return problem.linear(on, 0, 3, true); });
    expect_same_bits_for_any_batch(3, [&](Backend& on, int64_t begin, int64_t end) {
      return problem.full_attention(on, begin, end);
    });
    expect_same_bits_for_any_thread_count([&](Backend& on) { return problem.all_projected(on); });
    expect_same_bits_for_any_batch(
        3, [&](Backend& on, int64_t begin, int64_t end) { return problem.linear(on, begin, end); });
    expect_same_bits_for_any_batch(3, [&](Backend& on, int64_t begin, int64_t end) {
      return problem.projected(on, begin, end).of_image;
    });
  }
}

DDPM_FOR_EVERY_SIMD(AttentionTest);

}  // namespace
}  // namespace ddpm
