#include "ddpm/engine/cost.h"

#include <gtest/gtest.h>

#include "ddpm/engine/generator.h"
#include "ddpm/engine/trainer_test_support.h"
#include "ddpm/tensor/allocator.h"
#include "tests/support/gradients.h"

namespace ddpm {
namespace {

using test::small_options;
using test::unet_of;
using tutorial::UnetConfig;

TEST(Cost, MemoryToldIsMemoryTaken) {
  const TrainOptions options = small_options();
  ModelConfig config = options.model_config(16, 24, 1);
  const Cost cost = estimate_cost(config, 4);
  const int64_t before = allocator_stats().bytes_in_use;
  reset_allocator_peak();
  {
    Trainer trainer(options.optimizer, config, [](int64_t) {
      return test::random_tensor({4, 16, 24, 1}, 1);
    });
    trainer.step();
  }
  const double taken = static_cast<double>(allocator_stats().peak_bytes_in_use - before);
  // The measured memory also contains the kernels' buffers, which the cost does not.
  EXPECT_GT(taken, 0.95 * static_cast<double>(cost.training_bytes));
  EXPECT_LT(taken, 1.5 * static_cast<double>(cost.training_bytes));
  EXPECT_LT(cost.sampling_bytes, cost.training_bytes);
}

TEST(Cost, GuidanceTakesTheMemoryOfTwiceTheBatch) {
  const TrainOptions options = small_options();
  ModelConfig config = options.model_config(16, 24, 1);
  EXPECT_EQ(estimate_cost(config, 4).guided_bytes, 0);
  config.network.classes() = 3;
  const Cost cost = estimate_cost(config, 4);
  EXPECT_EQ(cost.guided_bytes, estimate_cost(config, 8).sampling_bytes);
  EXPECT_GT(cost.parameters, estimate_cost(options.model_config(16, 24, 1), 4).parameters);
}

TEST(Cost, SamplingCountsWhatIsPreparedOfTheWeights) {
  TrainOptions options = small_options();
  // Wide enough for Winograd.
  unet_of(options).dim = 64;
  const ModelConfig config = options.model_config(16, 16, 1);
  const Cost cost = estimate_cost(config, 2);
  Trainer trainer(options.optimizer, config, nullptr);
  const int64_t before = allocator_stats().bytes_in_use;
  reset_allocator_peak();
  generate(trainer.network(), config, {.count = 2, .batch = 2, .sampling = {.steps = 2}});
  const double taken = static_cast<double>(allocator_stats().peak_bytes_in_use - before) +
                       4.0 * static_cast<double>(cost.parameters);
  EXPECT_GT(taken, 0.95 * static_cast<double>(cost.sampling_bytes));
  EXPECT_LT(taken, 1.3 * static_cast<double>(cost.sampling_bytes));
}

TEST(Cost, FlopsAreThoseOfTheConvolutionsAndAttentions) {
  // One level, 4x4 images: all multiplications are counted by hand.
  ModelConfig config{.network = UnetConfig{.dim = 8, .dim_mults = {1}, .groups = 2}};
  config.height = config.width = 4;
  const double n = 16, c = 8, hidden = 128, head = 32, time = 32;
  const double linears = 8 * time + time * time;
  const auto resnet = [&](double in) {
    return time * 2 * c + n * 9 * (in * c + c * c) + (in == c ? 0 : n * in * c);
  };
  const double linear_attention = n * c * 3 * hidden + 2 * n * hidden * head + n * hidden * c;
  const double attention = n * c * 3 * hidden + 2 * n * n * hidden + n * hidden * c;
  const double convolutions = 2 * n * 9 * c * c, ends = n * 3 * c * 2;
  const double expected = linears + ends + 4 * resnet(c) + 3 * resnet(2 * c) +
                          2 * linear_attention + attention + convolutions;
  EXPECT_DOUBLE_EQ(estimate_cost(config, 1).forward_flops, 2 * expected);
}

}  // namespace
}  // namespace ddpm
