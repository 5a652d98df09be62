// Training and sampling of networks with everything that a family may need: dropout, and an earlier
// estimate of the images.
#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/trainer_test_support.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/lucidrains/options.h"
#include "tests/support/errors.h"
#include "tests/support/gradients.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

TrainOptions options_with(const lucidrains::UnetConfig& network) {
  TrainOptions options;
  options.network = network;
  options.optimizer.batch = 4;
  options.optimizer.seed = 11;
  options.optimizer.lr = 2e-3;
  options.optimizer.lr_warmup = 5;
  return options;
}

const lucidrains::UnetConfig kFull{.dim = 8,
                                   .dim_mults = {1, 2},
                                   .heads = {2},
                                   .dim_head = {8},
                                   .learned_sinusoidal_cond = true,
                                   .learned_sinusoidal_dim = 8,
                                   .self_condition = true,
                                   .dropout = 0.1};

std::vector<std::vector<float>> weights_after(const TrainOptions& options, int steps) {
  Trainer trainer = test::small_trainer(options);
  for (int i = 0; i < steps; ++i) trainer.step();
  std::vector<std::vector<float>> all;
  for (const Tensor& tensor : parameter_tensors(trainer.network())) all.push_back(tensor.values());
  return all;
}

TEST(Families, OnlyOptionsOfTheFamilyAreAdvised) {
  const TrainOptions options = options_with(kFull);
  EXPECT_EQ(test::small_trainer(options).advice(),
            "a lower --lr or a --clip-norm of 1 usually helps");
}

TEST(Families, TheLossFallsWithDropoutAndEarlierEstimates) {
  Trainer trainer = test::small_trainer(options_with(kFull));
  double first = 0, last = 0;
  for (int i = 0; i < 120; ++i) {
    const StepMetrics metrics = trainer.step();
    (i < 20 ? first : last) += i < 20 || i >= 100 ? metrics.loss / 20 : 0;
  }
  EXPECT_LT(last, 0.6 * first);
}

TEST(Families, WeightsDependNeitherOnThreadsNorOnRecomputing) {
  const test::ThreadsScope scope(1);
  TrainOptions options = options_with(kFull);
  const auto expected = weights_after(options, 4);
  set_num_threads(3);
  EXPECT_EQ(weights_after(options, 4), expected);
  options.optimizer.recompute = true;
  EXPECT_EQ(weights_after(options, 4), expected);
}

TEST(Families, FrequenciesThatAreDrawnStayAsTheyAre) {
  lucidrains::UnetConfig network = kFull;
  network.random_fourier_features = true;
  const TrainOptions options = options_with(network);
  Trainer trainer = test::small_trainer(options);
  const auto of = [&] {
    for (const NamedParameter& named : trainer.network().parameters()) {
      if (named.path == "time_mlp.0.weights") return named.parameter->variable.value().values();
    }
    return std::vector<float>();
  };
  const std::vector<float> before = of();
  ASSERT_EQ(before.size(), 4u);
  for (int i = 0; i < 3; ++i) trainer.step();
  EXPECT_EQ(of(), before);
}

// The network gets its own estimate of the previous step, so its weights for it matter.
TEST(Families, SamplingUsesEarlierEstimatesImageByImage) {
  const TrainOptions options = options_with(kFull);
  const ModelConfig config = options.model_config(8, 8, 1);
  const auto network = make_network(config.network);
  network->initialize(1);
  GenerateOptions sampling;
  sampling.count = 3;
  sampling.sampling.steps = 4;
  const Tensor together = generate(*network, config, sampling);
  sampling.batch = 2;
  EXPECT_EQ(generate(*network, config, sampling).values(), together.values());
  for (const NamedParameter& named : network->parameters()) {
    if (named.path != "init_conv.weight") continue;
    // Channel 0 of the input is the estimate.
    Tensor& w = named.parameter->variable.value();
    for (int64_t tap = 0; tap < 49; ++tap)
      std::fill_n(w.f32() + tap * 2 * w.size(3), w.size(3), 0.0f);
  }
  EXPECT_NE(generate(*network, config, sampling).values(), together.values());
}

TEST(Families, OutputsWithoutAnObjectiveAreRefused) {
  lucidrains::UnetConfig network = kFull;
  network.output_dim = 2;
  EXPECT_THROW(options_with(network).check(), UsageError);
  EXPECT_THROW(test::small_trainer(options_with(network)), UsageError);
  // Its cost can be estimated all the same.
  OptimizerOptions training;
  training.batch = 2;
  EXPECT_GT(training_bytes(options_with(network).model_config(8, 8, 1), training), 0);
}

TEST(Families, AModelFileTellsItsFamily) {
  lucidrains::UnetConfig network = kFull;
  network.theta = 500;
  const ModelConfig config = options_with(network).model_config(8, 8, 1);
  const ModelConfig read = model_config_from_json(to_json(config), "test");
  EXPECT_EQ(read.network, config.network);
  EXPECT_EQ(read.network.family(), "lucidrains");
}

}  // namespace
}  // namespace ddpm
