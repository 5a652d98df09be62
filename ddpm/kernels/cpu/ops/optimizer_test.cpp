#include <gtest/gtest.h>

#include <numeric>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

// Several steps over tensors of several sizes; the second has no moving average, the third a decay.
std::vector<Output> train(Backend& on, double ema_decay) {
  std::vector<AdamParameter> parameters;
  for (int64_t size : {40001, 1, 7, 64}) {
    parameters.push_back({normal_tensor({size}, 1), Tensor({size}), Tensor::zeros({size}),
                          Tensor::zeros({size}), normal_tensor({size}, 2)});
  }
  parameters[1].ema = Tensor();
  parameters[2].keep = 0.75;
  for (int64_t step = 1; step <= 3; ++step) {
    for (AdamParameter& p : parameters) {
      p.grad = normal_tensor(p.weight.shape(), static_cast<uint64_t>(10 + step));
    }
    on.run(op::Adam{
        .args = {.learning_rate = 0.01, .step = step, .grad_scale = 0.7, .ema_decay = ema_decay},
        .parameters = parameters});
  }
  std::vector<Output> outputs;
  for (AdamParameter& p : parameters) {
    outputs.push_back({"weight", p.weight});
    outputs.push_back({"moment1", p.moment1});
    outputs.push_back({"moment2", p.moment2});
    if (p.ema.defined()) outputs.push_back({"ema", p.ema});
  }
  return outputs;
}

std::vector<Output> move_averages(Backend& on, double decay) {
  std::vector<AveragedTensor> tensors;
  for (int64_t size : {40001, 1, 0, 65})
    tensors.push_back({normal_tensor({size}, 1), normal_tensor({size}, 2)});
  on.run(op::MoveAverages{.decay = decay, .tensors = tensors});
  std::vector<Output> outputs;
  for (AveragedTensor& tensor : tensors) outputs.push_back({"average", tensor.average});
  return outputs;
}

double sum_of_squares(Backend& on, const std::vector<Tensor>& tensors) {
  std::vector<double> sums;
  on.run(op::SumOfSquares{.tensors = tensors, .sums = sums});
  EXPECT_EQ(sums.size(), tensors.size());
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

class OptimizerTest : public EverySimd {};

TEST_P(OptimizerTest, AdamAgreesWithRef) {
  for (double decay : {0.0, 0.3, 0.995}) {
    expect_agrees_with_ref([&](Backend& on) { return train(on, decay); },
                           "decay " + std::to_string(decay));
  }
}

TEST_P(OptimizerTest, AveragesAgreeWithRef) {
  for (double decay : {0.0, 0.3, 0.995}) {
    expect_agrees_with_ref([&](Backend& on) { return move_averages(on, decay); },
                           "decay " + std::to_string(decay));
  }
}

TEST_P(OptimizerTest, AveragesHaveTheBitsOfThoseInAdam) {
  CpuBackend cpu;
  for (double decay : {0.3, 0.995}) {
    const Tensor before = normal_tensor({77}, 2);
    std::vector<AdamParameter> parameters = {{normal_tensor({77}, 1), normal_tensor({77}, 3),
                                              Tensor::zeros({77}), Tensor::zeros({77}),
                                              before.clone()}};
    cpu.run(op::Adam{.args = {.ema_decay = decay}, .parameters = parameters});
    std::vector<AveragedTensor> averages = {{parameters[0].weight, before.clone()}};
    cpu.run(op::MoveAverages{.decay = decay, .tensors = averages});
    EXPECT_TRUE(same_bits(averages[0].average, parameters[0].ema));
  }
}

TEST_P(OptimizerTest, AnAverageThatHasArrivedStays) {
  CpuBackend cpu;
  const Tensor w = normal_tensor({33}, 1);
  std::vector<AdamParameter> parameters = {
      {w.clone(), Tensor::zeros({33}), Tensor::zeros({33}), Tensor::zeros({33}), w.clone()}};
  cpu.run(op::Adam{.args = {.ema_decay = 0.9999}, .parameters = parameters});
  EXPECT_TRUE(same_bits(parameters[0].ema, w));
}

TEST_P(OptimizerTest, SumOfSquaresAgreesForEveryLength) {
  RefBackend ref;
  CpuBackend cpu;
  std::vector<Tensor> tensors;
  for (int64_t length = 0; length <= 35; ++length) tensors.push_back(normal_tensor({length}, 1));
  tensors.push_back(normal_tensor({70001}, 2));
  const double expected = sum_of_squares(ref, tensors);
  EXPECT_NEAR(sum_of_squares(cpu, tensors), expected, test::Tolerance::kDoubleSum * expected);
  for (const Tensor& tensor : tensors) {
    const double one = sum_of_squares(ref, {tensor});
    EXPECT_NEAR(sum_of_squares(cpu, {tensor}), one, test::Tolerance::kDoubleSum * one)
        << tensor.elements();
  }
}

TEST_P(OptimizerTest, BitsDoNotDependOnTheThreadCount) {
  expect_same_bits_for_any_thread_count([](Backend& on) { return train(on, 0.9); });
  expect_same_bits_for_any_thread_count([](Backend& on) { return move_averages(on, 0.9); });
  CpuBackend cpu;
  const std::vector<Tensor> tensors = {normal_tensor({70001}, 1), normal_tensor({40001}, 2)};
  set_num_threads(1);
  const double expected = sum_of_squares(cpu, tensors);
  set_num_threads(3);
  EXPECT_EQ(sum_of_squares(cpu, tensors), expected);
}

TEST_P(OptimizerTest, TheSumOfATensorDoesNotDependOnTheOthers) {
  CpuBackend cpu;
  const std::vector<Tensor> tensors = {normal_tensor({70001}, 1), normal_tensor({3}, 2)};
  std::vector<double> sums;
  cpu.run(op::SumOfSquares{.tensors = tensors, .sums = sums});
  for (size_t i = 0; i < tensors.size(); ++i)
    EXPECT_EQ(sums[i], sum_of_squares(cpu, {tensors[i]})) << i;
}

TEST_P(OptimizerTest, NormalGivesRefsNumbersExactly) {
  for (int64_t channels : {1, 3, 50}) {
    expect_agrees_with_ref(
        [&](Backend& on) {
          Tensor x = unwritten({2, 11, 13, channels});
          on.run(op::Normal{.seeds = {7, 8}, .stream = 5, .x = x});
          return std::vector<Output>{{"x", x}};
        },
        std::to_string(channels) + " channels", test::Tolerance::kMove);
  }
}

DDPM_FOR_EVERY_SIMD(OptimizerTest);

}  // namespace
}  // namespace ddpm
