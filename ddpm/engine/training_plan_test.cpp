#include "ddpm/engine/training_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ddpm/engine/cost.h"
#include "ddpm/engine/training_recipe.h"
#include "ddpm/nn/network_size.h"
#include "ddpm/nn/tutorial/options.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using Names = std::vector<std::string>;

// A machine that does so many floating-point operations of a forward pass in a second of training.
class Plan : public ::testing::Test {
 protected:
  TrainingPlan make(double seconds, const Names& chosen = {}) {
    ModelConfig model = options_.model_config(side_, side_, 3);
    return plan_training(
        options_, model,
        {.seconds = seconds,
         .pictures = 1000,
         .chosen =
             [&](std::string_view field) {
               return std::find(chosen.begin(), chosen.end(), field) != chosen.end();
             }},
        [this](const ModelConfig& config, const OptimizerOptions& training, const TimerLimit&) {
          ++measured_;
          const double flops = estimate_cost(config, 1).forward_flops;
          return flops * static_cast<double>(training.batch) / speed_;
        });
  }
  static int64_t dim_of(const TrainingPlan& plan) {
    return plan.options.network.get<tutorial::UnetConfig>()->dim;
  }

  TrainOptions options_ = recipe_options("fast");
  int64_t side_ = 32;
  double speed_ = 4e11;
  int measured_ = 0;
};

TEST_F(Plan, MoreTimeGivesALargerNetwork) {
  std::vector<int64_t> dims;
  for (const double seconds : {60.0, 600.0, 2 * 3600.0, 86400.0})
    dims.push_back(dim_of(make(seconds)));
  EXPECT_EQ(dims, (std::vector<int64_t>{16, 32, 64, 128}));
}

TEST_F(Plan, AFasterMachineGetsALargerNetwork) {
  speed_ = 2e10;
  EXPECT_EQ(dim_of(make(600)), 16);
  speed_ = 4e12;
  EXPECT_EQ(dim_of(make(600)), 64);
}

TEST_F(Plan, LargerPicturesGetASmallerNetwork) {
  EXPECT_EQ(dim_of(make(600)), 32);
  side_ = 128;
  EXPECT_EQ(dim_of(make(600)), 16);
}

TEST_F(Plan, WhatTheUserChoseStays) {
  options_.network.get<tutorial::UnetConfig>()->dim = 48;
  options_.optimizer.batch = 20;
  options_.optimizer.average_halflife = {77};
  options_.run.save_every = 7;
  const TrainingPlan plan = make(60, {"dim", "batch", "average_halflife", "save_every"});
  EXPECT_EQ(plan.options.network, options_.network);
  EXPECT_EQ(plan.options.optimizer.batch, 20);
  EXPECT_EQ(plan.options.optimizer.average_halflife, (std::vector<int64_t>{77}));
  EXPECT_EQ(plan.options.run.save_every, 7);
  EXPECT_EQ(measured_, 1);
}

TEST_F(Plan, AShortTrainingTakesSmallerBatches) {
  EXPECT_EQ(make(600).options.optimizer.batch, 64);
  side_ = 128;
  EXPECT_LT(make(60).options.optimizer.batch, 64);
}

TEST_F(Plan, SavesAreATwentiethOfTheTimeApartWithinBounds) {
  const auto seconds_between_saves = [this](double budget) {
    const TrainingPlan plan = make(budget);
    const double flops = estimate_cost(plan.options.model_config(side_, side_, 3), 1).forward_flops;
    // Of the time, nine tenths are for steps.
    return flops * static_cast<double>(plan.options.optimizer.batch * plan.options.run.save_every) /
           speed_ / 0.9;
  };
  EXPECT_NEAR(seconds_between_saves(3600), 180, 10);
  EXPECT_NEAR(seconds_between_saves(60), 10, 1);
  EXPECT_NEAR(seconds_between_saves(10 * 86400.0), 1800, 30);
}

TEST_F(Plan, GridsAreATenthOfTheTimeApart) {
  const RunOptions run = make(3600).options.run;
  EXPECT_NEAR(static_cast<double>(run.sample_every), 2.0 * static_cast<double>(run.save_every), 2);
  options_.run.sample_every = 7;
  EXPECT_EQ(make(3600, {"sample_every"}).options.run.sample_every, 7);
}

TEST_F(Plan, TheReasonsNameStepsNetworkAndAverage) {
  const TrainingPlan plan = make(600);
  std::string all;
  for (const std::string& reason : plan.reasons) all += reason + "\n";
  for (const char* word :
       {"steps of 64 pictures in 10m", "network small: base would see", "half-life"})
    EXPECT_NE(all.find(word), std::string::npos) << word << " is not in\n" << all;
}

TEST_F(Plan, LevelsThatAreLeftOutAreToldOf) {
  const auto tells = [](const TrainingPlan& plan) {
    return std::ranges::any_of(plan.reasons, [](const std::string& reason) {
      return reason.find("1 fewer level than usual, because the sides 28 and 28") !=
             std::string::npos;
    });
  };
  side_ = 28;
  EXPECT_FALSE(tells(make(60)));
  EXPECT_TRUE(tells(make(86400)));
}

TEST_F(Plan, PicturesThatMayBeLearntByHeartAreToldOf) {
  const auto warns = [](const TrainingPlan& plan) {
    return std::ranges::any_of(plan.reasons, [](const std::string& reason) {
      return reason.find("by heart") != std::string::npos;
    });
  };
  // At 32x32 the 1000 pictures are seen about 200 and 1700 times.
  EXPECT_FALSE(warns(make(400)));
  EXPECT_TRUE(warns(make(3600, {"dim"})));
}

TEST_F(Plan, ATimeTooShortForOneStepIsRefused) {
  speed_ = 1e5;
  const std::string message = test::refusal([&] { make(1); });
  EXPECT_NE(message.find("only 1 s of the budget are left"), std::string::npos) << message;
}

TEST_F(Plan, TheLearningRateRisesOverATwentiethOfTheStepsAtMost) {
  EXPECT_EQ(make(600).options.optimizer.lr_warmup, 100);
  speed_ = 2e9;
  EXPECT_LT(make(600).options.optimizer.lr_warmup, 100);
  EXPECT_EQ(make(600, {"lr_warmup"}).options.optimizer.lr_warmup, 100);
}

TrainOptions one_level() {
  TrainOptions options;
  options.network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1}, .groups = 2};
  options.optimizer.batch = 2;
  return options;
}

// A batch as large as this would take minutes.
TEST(MeasureStep, AnEstimateIsEnoughWhereAStepTakesTooLong) {
  TrainOptions options = one_level();
  const ModelConfig model = options.model_config(8, 8, 3);
  options.optimizer.batch = int64_t{1} << 20;
  EXPECT_GT(measure_step(model, options.optimizer, {.seconds = 1e-6}), 1);
}

TEST(MeasureStep, AStopIsObeyedAfterAStep) {
  const TrainOptions options = one_level();
  int asked = 0;
  measure_step(options.model_config(8, 8, 3), options.optimizer,
               {.seconds = 1e6, .stopping = [&] { return ++asked > 0; }});
  // Once in each of both measurements.
  EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace ddpm
