// What the backend adds to its convolutions: two inputs, standardized weights, kept weights.
#include <gtest/gtest.h>

#include "ddpm/kernels/cpu/ops/backend_test_support.h"

namespace ddpm {
namespace {

using namespace ddpm::testing;

struct Layer {
  int64_t batch, side, first, second, outputs, kernel;
  bool standardized;
};

std::vector<Output> run(Backend& on, const Layer& l) {
  const int64_t n = l.batch, h = l.side, w = l.side + 1, channels = l.first + l.second;
  const ConvArgs args{.padding = l.kernel / 2};
  const Tensor x = normal_tensor({n, h, w, l.first}, 1);
  const Tensor more = normal_tensor({n, h, w, std::max<int64_t>(1, l.second)}, 2);
  const Tensor weights = normal_tensor({l.kernel, l.kernel, channels, l.outputs}, 3);
  const Tensor bias = normal_tensor({l.outputs}, 4), dy = normal_tensor({n, h, w, l.outputs}, 5);
  Tensor mean({l.outputs}), rstd({l.outputs});
  RefBackend().run(op::WeightMoments{.eps = 1e-5, .w = weights, .mean = mean, .rstd = rstd});
  const ConvInput input(x, l.second ? &more : nullptr);
  const ConvWeights used(weights, l.standardized ? &mean : nullptr,
                         l.standardized ? &rstd : nullptr);
  Tensor y = unwritten(dy.shape()), dx = unwritten(x.shape()), dmore = unwritten(more.shape());
  Tensor dw = unwritten(weights.shape()), dbias = unwritten(bias.shape());
  on.run(op::Conv2d{.args = args, .x = input, .w = used, .bias = &bias, .y = y, .training = true});
  on.run(op::Conv2dBackwardData{.args = args,
                                .dy = dy,
                                .w = used,
                                .dx = dx,
                                .dmore = l.second ? &dmore : nullptr,
                                .training = true});
  on.run(op::Conv2dBackwardWeights{.args = args, .x = input, .dy = dy, .dw = dw, .dbias = &dbias});
  std::vector<Output> outputs = {{"y", y}, {"dx", dx}, {"dw", dw}, {"dbias", dbias}};
  if (l.second) outputs.push_back({"dmore", dmore});
  return outputs;
}

class ConvBackendTest : public EverySimd {};

TEST_P(ConvBackendTest, TwoInputsAndStandardizedWeightsAgreeInEveryPass) {
  for (bool standardized : {false, true}) {
    for (const Layer& l : {Layer{2, 5, 7, 0, 9, 3, standardized},        // direct
                           Layer{2, 5, 7, 6, 9, 3, standardized},        // direct, two inputs
                           Layer{2, 8, 40, 0, 36, 3, standardized},      // Winograd
                           Layer{2, 9, 37, 29, 50, 3, standardized},     // and two inputs, odd
                           Layer{1, 4, 70, 64, 33, 3, standardized},     // few tiles
                           Layer{3, 6, 33, 18, 20, 1, standardized},     // matrix product
                           Layer{3, 6, 33, 40, 35, 1, standardized}}) {  // two of them
      expect_agrees_with_ref([&](Backend& on) { return run(on, l); },
                             std::to_string(l.first) + "+" + std::to_string(l.second) + " kernel " +
                                 std::to_string(l.kernel),
                             test::Tolerance::kWinograd);
    }
  }
}

TEST_P(ConvBackendTest, BitsDoNotDependOnTheThreadCount) {
  for (const Layer& l : {Layer{2, 17, 64, 32, 48, 3, true}, Layer{2, 9, 24, 40, 40, 1, false}}) {
    expect_same_bits_for_any_thread_count([&](Backend& on) { return run(on, l); });
  }
}

TEST_P(ConvBackendTest, KeptWeightsAreReadNoMore) {
  CpuBackend cpu;
  for (int64_t channels : {8, 40}) {  // direct and Winograd
    const Tensor x = normal_tensor({1, 9, 9, channels}, 1);
    Tensor w = normal_tensor({3, 3, channels, 36}, 2), mean({36}), rstd({36});
    cpu.run(op::WeightMoments{.eps = 0, .w = w, .mean = mean, .rstd = rstd});
    ConvWeights weights(w, &mean, &rstd);
    std::shared_ptr<void> kept;
    weights.prepared = &kept;
    Tensor before({1, 9, 9, 36}), after({1, 9, 9, 36});
    cpu.run(op::Conv2d{.args = {.padding = 1}, .x = x, .w = weights, .y = before});
    EXPECT_TRUE(kept);
    std::fill_n(w.f32(), w.elements(), NAN);
    cpu.run(op::Conv2d{.args = {.padding = 1}, .x = x, .w = weights, .y = after});
    EXPECT_TRUE(same_bits(before, after)) << channels;
  }
}

TEST_P(ConvBackendTest, AnImageDoesNotDependOnItsBatchUnlessAsked) {
  const Tensor x = normal_tensor({5, 4, 4, 64}, 1), w = normal_tensor({3, 3, 64, 64}, 2);
  expect_same_bits_for_any_batch(5, [&](Backend& on, int64_t begin, int64_t end) {
    Tensor y({end - begin, 4, 4, 64}), dx({end - begin, 4, 4, 64});
    const Tensor part = x.rows(begin, end);
    on.run(op::Conv2d{.args = {.padding = 1}, .x = part, .w = w, .y = y});
    on.run(op::Conv2dBackwardData{.args = {.padding = 1}, .dy = part, .w = w, .dx = dx});
    return std::vector<Output>{{"y", y}, {"dx", dx}};
  });
}

DDPM_FOR_EVERY_SIMD(ConvBackendTest);

}  // namespace
}  // namespace ddpm
