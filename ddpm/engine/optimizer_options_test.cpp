// Trainings with every optimizer: what the engine adds to ddpm/optim.
#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/parameter_roles.h"
#include "ddpm/engine/trainer_test_support.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

TrainOptions options_with(const std::string& optimizer) {
  TrainOptions options;
  options.network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1, 2}, .heads = 1, .dim_head = 8};
  options.optimizer.batch = 4;
  options.optimizer.lr = 2e-3;
  options.optimizer.lr_warmup = 5;
  options.optimizer.update.optimizer = optimizer;
  options.optimizer.update.precondition_every = 2;
  return options;
}

std::vector<std::vector<float>> weights_of(Trainer& trainer) {
  std::vector<std::vector<float>> all;
  for (const Tensor& tensor : parameter_tensors(trainer.network())) all.push_back(tensor.values());
  for (const Tensor& tensor : trainer.optimizer().ema()) all.push_back(tensor.values());
  return all;
}

class TrainingWith : public ::testing::TestWithParam<std::string> {};

TEST_P(TrainingWith, TheLossFalls) {
  Trainer trainer = test::small_trainer(options_with(GetParam()));
  double first = 0, last = 0;
  for (int i = 0; i < 60; ++i) {
    const double loss = trainer.step().loss;
    if (i < 20) first += loss;
    if (i >= 40) last += loss;
  }
  EXPECT_LT(last, 0.7 * first);
}

TEST_P(TrainingWith, ACheckpointHoldsTheWholeState) {
  const test::TemporaryFolder folder;
  const TrainOptions options = options_with(GetParam());
  Trainer whole = test::small_trainer(options), other = test::small_trainer(options);
  for (int i = 0; i < 4; ++i) whole.step();
  save_checkpoint(folder / "x.safetensors", whole.config(), whole.network(), whole.optimizer());
  load_checkpoint(folder / "x.safetensors", other.network(), other.optimizer());
  EXPECT_EQ(other.optimizer().steps(), 4);
  other.set_steps(4);
  for (int i = 0; i < 3; ++i) {
    whole.step();
    other.step();
  }
  EXPECT_EQ(weights_of(other), weights_of(whole));
}

// The memory of a training is counted on a device without values.
TEST_P(TrainingWith, AStepWithoutValuesIsPossible) {
  const TrainOptions options = options_with(GetParam());
  Trainer trainer(
      options.optimizer, options.model_config(4, 6, 1),
      [](int64_t) {
        return Batch(Tensor({4, 4, 6, 1}, DType::kFloat32, Device::kDry));
      },
      Device::kDry);
  EXPECT_EQ(trainer.step().step, 1);
  EXPECT_EQ(trainer.step().step, 2);
}

INSTANTIATE_TEST_SUITE_P(All, TrainingWith, ::testing::ValuesIn(optimizer_names()),
                         [](const auto& test) { return test.param; });

TEST(TrainingWith, AnotherOptimizersCheckpointIsRefused) {
  const test::TemporaryFolder folder;
  Trainer adam = test::small_trainer(options_with("adam")),
          muon = test::small_trainer(options_with("muon"));
  save_checkpoint(folder / "x.safetensors", adam.config(), adam.network(), adam.optimizer());
  EXPECT_NE(test::message_of([&] {
              load_checkpoint(folder / "x.safetensors", muon.network(), muon.optimizer());
            }).find("lacks muon.momentum."),
            std::string::npos);
}

TEST(ParameterRoles, OnlyLayersBetweenTheFirstAndTheLastAreInner) {
  const auto network = make_network(options_with("adam").network);
  const std::vector<OptimizedParameter> parameters = optimized_parameters(*network);
  const std::vector<NamedParameter> named = network->parameters();
  ASSERT_EQ(parameters.size(), named.size());
  int inner = 0;
  for (size_t i = 0; i < named.size(); ++i) {
    const std::string& path = named[i].path;
    const bool outer = path == "init_conv.weight" || path == "final_conv.weight";
    const bool layer = path.ends_with(".weight") && path.find("norm") == std::string::npos &&
                       parameters[i].variable.shape().rank() > 1;
    const ParameterRole want = outer   ? ParameterRole::kOuter
                               : layer ? ParameterRole::kInner
                                       : ParameterRole::kOther;
    EXPECT_EQ(parameters[i].role, want) << path;
    inner += want == ParameterRole::kInner ? 1 : 0;
  }
  EXPECT_GT(inner, 10);
}

TEST(LearningRates, FollowTheScheduleOfTheOptions) {
  TrainOptions options = options_with("adam");
  options.optimizer.lr_schedule = "linear";
  options.optimizer.lr_warmup = 2;
  options.optimizer.steps = 6;
  Trainer trainer = test::small_trainer(options);
  for (const double factor : {0.5, 1.0, 1.0, 0.75, 0.5, 0.25})
    EXPECT_NEAR(trainer.step().learning_rate, 2e-3 * factor, 1e-15);
  options.optimizer.update = {};
  options.optimizer.lr_schedule = "constant";
  options.optimizer.lr_decay_start = 3;
  options.data.source = "emoji";
  EXPECT_NE(test::refusal([&] { options.check(); }).find("--lr-decay-start 3 needs"),
            std::string::npos);
}

}  // namespace
}  // namespace ddpm
