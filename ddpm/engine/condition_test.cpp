// A network with a condition, from its options to its pictures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/dataset.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"
#include "tests/support/gradients.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using test::random_tensor;
using test::refusal;
using ::testing::HasSubstr;

TrainOptions small_options(const std::string& condition) {
  TrainOptions options;
  options.network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1, 2}};
  options.process.timesteps = 20;
  options.data.size = "8";
  options.data.condition = condition;
  options.optimizer.batch = 2;
  options.optimizer.lr_warmup = 0;
  options.run.sample_steps = 2;
  return options;
}

// A network with random weights.
struct Conditioned {
  explicit Conditioned(const std::string& condition, int64_t channels = 3)
      : config(small_options(condition).model_config(8, 8, channels)),
        network(make_network(config.network)) {
    network->initialize(3);
  }
  Tensor draw(GenerateOptions options) const {
    options.sampling.steps = 2;
    return generate(*network, config, options);
  }
  ModelConfig config;
  std::unique_ptr<Network> network;
};

TEST(ConditionOptions, TheModelKnowsItsCondition) {
  const auto config = [](const std::string& condition, int64_t channels, int64_t own = 0) {
    const ModelConfig config = small_options(condition).model_config(8, 8, channels, own);
    EXPECT_NO_THROW(config.check());
    return std::pair(config.condition, config.network.condition_channels());
  };
  EXPECT_EQ(config("none", 3), std::pair(std::string("none"), int64_t{0}));
  EXPECT_EQ(config("downscale:2", 4), std::pair(std::string("downscale:2"), int64_t{4}));
  EXPECT_EQ(config("grey", 3), std::pair(std::string("grey"), int64_t{1}));
  EXPECT_EQ(config("grey", 4), std::pair(std::string("grey"), int64_t{2}));
  EXPECT_EQ(config("none", 3, 2), std::pair(std::string("pairs"), int64_t{2}));
  EXPECT_EQ(config("some/folder", 3, 1), std::pair(std::string("pairs"), int64_t{1}));
}

TEST(ConditionOptions, WhatCannotWorkIsRefused) {
  EXPECT_THAT(refusal([] { small_options("downscale:3").check(); }),
              HasSubstr("these do: 2, 4, 8"));
  EXPECT_THAT(refusal([] { small_options("downscale:x").check(); }), HasSubstr("downscale:N"));
  TrainOptions grey = small_options("grey");
  grey.data.channels = "1";
  EXPECT_THAT(refusal([&] { grey.check(); }), HasSubstr("--channels 3"));
  ModelConfig config = small_options("grey").model_config(8, 8, 3);
  config.condition = "downscale:2";
  EXPECT_THROW(config.check(), UsageError);
  config.condition = "none";
  EXPECT_THROW(config.check(), UsageError);
  config.condition = "nonsense";
  EXPECT_THROW(config.check(), UsageError);
  config = small_options("none").model_config(8, 8, 3);
  config.condition = "pairs";
  EXPECT_THROW(config.check(), UsageError);
}

TEST(ConditionedModel, ItsFileHoldsTheCondition) {
  const test::TemporaryFolder folder;
  const Conditioned made("downscale:4");
  std::vector<Tensor> weights;
  for (const NamedParameter& named : made.network->parameters())
    weights.push_back(named.parameter->variable.value());
  save_model(folder / "model.safetensors", made.config, *made.network, weights, 7);
  const Model read = load_model(folder / "model.safetensors");
  EXPECT_EQ(read.config.condition, "downscale:4");
  EXPECT_EQ(read.config.network.condition_channels(), 3);
  EXPECT_TRUE(read.network->takes().condition);
}

TEST(ConditionedModel, APictureFollowsFromItsConditionAndSeed) {
  const Conditioned made("grey");
  const Tensor conditions = random_tensor({3, 8, 8, 1}, 5);
  const Tensor together = made.draw({.count = 3, .condition = conditions});
  EXPECT_EQ(made.draw({.count = 3, .batch = 2, .condition = conditions}).values(),
            together.values());
  const Tensor second = made.draw({.count = 1, .first = 1, .condition = conditions.rows(1, 2)});
  EXPECT_EQ(second.values(), together.rows(1, 2).values());
  const Tensor other = made.draw({.count = 1, .first = 1, .condition = conditions.rows(2, 3)});
  EXPECT_NE(other.values(), together.rows(1, 2).values());
}

TEST(ConditionedModel, OneConditionIsEnoughForAll) {
  const Conditioned made("grey");
  const Tensor one = random_tensor({1, 8, 8, 1}, 5);
  Tensor all({3, 8, 8, 1});
  for (int64_t i = 0; i < 3; ++i) {
    Tensor row = all.rows(i, i + 1);
    row.copy_from(one);
  }
  EXPECT_EQ(made.draw({.count = 3, .batch = 2, .condition = one}).values(),
            made.draw({.count = 3, .condition = all}).values());
}

TEST(ConditionedModel, ItDrawsPicturesOfTheConditionsSize) {
  const Conditioned made("grey");
  EXPECT_EQ(made.draw({.count = 1, .condition = random_tensor({1, 4, 6, 1}, 1)}).shape(),
            (Shape{1, 4, 6, 3}));
}

TEST(ConditionedModel, ConditionsThatDoNotFitAreRefused) {
  const Conditioned made("grey"), plain("none");
  EXPECT_THAT(refusal([&] { made.draw({.count = 2}); }), HasSubstr("[2, 8, 8, 1] is needed"));
  for (const Shape& wrong : {Shape{3, 8, 8, 1}, Shape{2, 8, 8, 3}, Shape{8, 8, 1}}) {
    EXPECT_THAT(refusal([&] { made.draw({.count = 2, .condition = Tensor::zeros(wrong)}); }),
                HasSubstr("or [1, 8, 8, 1] for all"))
        << wrong.str();
  }
  const Tensor bytes({2, 8, 8, 1}, DType::kUInt8);
  EXPECT_THAT(refusal([&] { made.draw({.count = 2, .condition = bytes}); }),
              HasSubstr("must be float32"));
  EXPECT_THAT(refusal([&] {
                made.draw({.count = 2, .condition = Tensor::full({1, 8, 8, 1}, NAN)});
              }),
              HasSubstr("the condition contains nan"));
  EXPECT_THAT(
      refusal([&] {
        made.draw({.count = 2, .height = 8, .width = 8, .condition = Tensor::zeros({2, 4, 4, 1})});
      }),
      HasSubstr("[2, 8, 8, 1] is needed"));
  EXPECT_THAT(refusal([&] {
                plain.draw({.count = 1, .condition = Tensor::zeros({1, 8, 8, 1})});
              }),
              HasSubstr("takes no condition"));
}

TEST(ConditionedModel, ATrainerShowsTheConditionToTheNetwork) {
  const auto pictures =
      with_condition(std::make_shared<Dataset>(random_tensor({4, 8, 8, 3}, 1), "four"),
                     parse_condition("downscale:2"));
  const NetworkConfig networks[] = {tutorial::UnetConfig{.dim = 8, .dim_mults = {1, 2}},
                                    lucidrains::UnetConfig{.dim = 8, .dim_mults = {1, 2}}};
  for (const NetworkConfig& network : networks) {
    SCOPED_TRACE(network.family());
    TrainOptions options = small_options("downscale:2");
    options.network = network;
    Trainer trainer(options.optimizer, options.model_config(8, 8, 3), [&](int64_t step) {
      return pictures->batch({{step % 4, (step + 1) % 4}, {}});
    });
    // [kernel, kernel, 3 of the noisy image and 3 of the condition, 8]
    const Tensor weight = trainer.network().parameters().front().parameter->variable.value();
    ASSERT_EQ(weight.shape()[2], 3 + 3);
    const std::vector<float> before = weight.values();
    trainer.step();
    const std::vector<float> after = weight.values();
    for (size_t i = 0; i < before.size(); ++i) {
      if (i / 8 % 6 >= 3) {
        EXPECT_NE(after[i], before[i]) << i;
      }
    }
  }
}

// Without a value to show, a batch must not be trained on.
TEST(ConditionedModel, ATrainerRefusesBatchesWithoutTheCondition) {
  const TrainOptions options = small_options("grey");
  Trainer trainer(options.optimizer, options.model_config(8, 8, 3), [](int64_t) {
    return random_tensor({2, 8, 8, 3}, 1);
  });
  EXPECT_THROW(trainer.step(), Error);
}

TEST(ConditionedModel, CostsCountTheCondition) {
  // Each thread adds to the margin.
  const test::ThreadsScope scope(1);
  const auto cost = [](const std::string& condition) {
    return estimate_cost(small_options(condition).model_config(8, 8, 3), 4);
  };
  const Cost plain = cost("none"), shown = cost("downscale:2");
  EXPECT_EQ(shown.parameters - plain.parameters, 3 * 8);
  EXPECT_EQ(shown.forward_flops - plain.forward_flops, 2 * 8 * 8 * 3 * 8);
  const int64_t image_bytes = 4 * 8 * 8 * 3 * 4;
  EXPECT_GE(shown.sampling_bytes - plain.sampling_bytes, image_bytes);
  EXPECT_GE(shown.training_bytes - plain.training_bytes, image_bytes);
  // Pictures that fit without their conditions.
  const ModelConfig config = small_options("downscale:2").model_config(8, 8, 3);
  const AvailableMemory memory{.bytes = 16'000'000, .limit = "a test"};
  EXPECT_NO_THROW(require_memory_for_sampling(small_options("none").model_config(8, 8, 3),
                                              {.count = 4000, .batch = 1}, memory));
  EXPECT_THROW(require_memory_for_sampling(config, {.count = 4000, .batch = 1}, memory),
               UsageError);
}

}  // namespace
}  // namespace ddpm
