#include "ddpm/engine/run/forecast.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ddpm {
namespace {

TrainOptions options() {
  TrainOptions options;
  options.optimizer.batch = 10;
  options.run = {.save_every = 200, .sample_every = 0};
  return options;
}

TEST(Forecast, NeedsThreeSteps) {
  Forecast forecast(options(), {});
  forecast.took(RunWork::kStep, 9);
  forecast.took(RunWork::kStep, 2);
  EXPECT_EQ(forecast.seconds_left(2, 100), std::nullopt);
  forecast.took(RunWork::kStep, 2);
  // The first step does not count.
  EXPECT_DOUBLE_EQ(forecast.seconds_left(3, 100).value(), 97 * 2.0);
}

TEST(Forecast, FollowsTheLastSteps) {
  Forecast forecast(options(), {});
  for (int i = 0; i < 500; ++i) forecast.took(RunWork::kStep, 1);
  for (int i = 0; i < 400; ++i) forecast.took(RunWork::kStep, 3);
  EXPECT_NEAR(forecast.seconds_left(0, 100).value(), 300, 0.3);
}

// The machine is busy with something else: what computes takes longer, what writes does not.
TEST(Forecast, WhatComputesTakesAsLongAsItsSteps) {
  TrainOptions with_all = options();
  with_all.run.eval_every = 40;
  Forecast forecast(with_all, {});
  for (int i = 0; i < 3; ++i) forecast.took(RunWork::kStep, 1);
  forecast.took(RunWork::kEvaluation, 10);
  forecast.took(RunWork::kSave, 5);
  for (int i = 0; i < 500; ++i) forecast.took(RunWork::kStep, 2);
  EXPECT_NEAR(forecast.seconds_left(90, 100).value(), 10 * 2 + 20 + 5, 0.1);
}

TEST(Forecast, FollowsAsManyStepsAsItIsAskedTo) {
  Forecast forecast(options(), {});
  forecast.average_over(1000);
  for (int i = 0; i < 5000; ++i) forecast.took(RunWork::kStep, 1);
  for (int i = 0; i < 1000; ++i) forecast.took(RunWork::kStep, 2);
  const double mean = 2 - std::pow(0.999, 1000);
  EXPECT_NEAR(forecast.seconds_left(0, 100).value(), 100 * mean, 1e-6);
  // Or fewer.
  forecast.average_over(3);
  for (int i = 0; i < 8; ++i) forecast.took(RunWork::kStep, 4);
  EXPECT_NEAR(forecast.seconds_left(0, 100).value(), 100 * (4 - (4 - mean) * std::pow(7 / 8.0, 8)),
              1e-6);
}

TEST(Forecast, AStepThatStoodStillHardlyCounts) {
  Forecast forecast(options(), {});
  for (int i = 0; i < 500; ++i) forecast.took(RunWork::kStep, 1);
  forecast.took(RunWork::kStep, 1e6);
  EXPECT_NEAR(forecast.seconds_left(0, 100).value(), 100 * (1 + 9 / 50.0), 1e-3);
}

TEST(Forecast, TellsHowManyStepsFit) {
  TrainOptions with_saves = options();
  with_saves.run.save_every = 10;
  Forecast forecast(with_saves, {.save_seconds = 4});
  EXPECT_EQ(forecast.steps_in(100, 0), std::nullopt);
  forecast.took(RunWork::kStep, 5);
  // Before the second step the first one counts.
  EXPECT_EQ(forecast.steps_in(50 + 4, 0), 10);
  forecast.took(RunWork::kStep, 2);
  forecast.took(RunWork::kStep, 2);
  EXPECT_EQ(forecast.steps_in(10 * 2 + 4, 0), 10);
  // With one step more there are two saves.
  EXPECT_EQ(forecast.steps_in(11 * 2 + 2 * 4, 0), 11);
  EXPECT_EQ(forecast.steps_in(11 * 2 + 2 * 4 - 1.1, 0), 10);
  // The nearest end, be it a little late.
  EXPECT_EQ(forecast.steps_in(11 * 2 + 2 * 4 - 0.9, 0), 11);
  EXPECT_EQ(forecast.steps_in(4, 7), 0);
  EXPECT_EQ(forecast.steps_in(-100, 7), 0);
  EXPECT_EQ(forecast.steps_in(1e15, 7), kMostTrainedSteps);
}

TEST(Forecast, CountsSavesUpToTheLast) {
  TrainOptions with_saves = options();
  with_saves.run.save_every = 30;
  Forecast forecast(with_saves, {});
  for (int i = 0; i < 3; ++i) forecast.took(RunWork::kStep, 1);
  EXPECT_DOUBLE_EQ(forecast.seconds_left(29, 100).value(), 71);
  forecast.took(RunWork::kSave, 5);
  // After steps 60, 90 and 100.
  EXPECT_DOUBLE_EQ(forecast.seconds_left(31, 100).value(), 69 + 3 * 5);
  // The save of step 60 is still to come.
  EXPECT_DOUBLE_EQ(forecast.seconds_left(60, 100).value(), 40 + 3 * 5);
  EXPECT_DOUBLE_EQ(forecast.seconds_left(100, 100).value(), 5);
}

TEST(Forecast, KnowsGridsBeforeTheFirst) {
  TrainOptions with_grids = options();
  with_grids.run.sample_every = 50;
  with_grids.run.sample_count = 15;
  Forecast forecast(with_grids, {.grid = 12});
  for (int i = 0; i < 3; ++i) forecast.took(RunWork::kStep, 2);
  // 15 pictures in 12 passes, each a third of the tenth part of a step; after steps 50 and 100.
  EXPECT_DOUBLE_EQ(forecast.seconds_left(3, 100).value(), 97 * 2 + 2 * (15 * 12 * 2 / 30.0));
  forecast.took(RunWork::kGrid, 4);
  EXPECT_DOUBLE_EQ(forecast.seconds_left(51, 100).value(), 49 * 2 + 4);
}

TEST(Forecast, KnowsValidations) {
  Forecast forecast(options(), {.validation = 300, .validate_every = 40});
  for (int i = 0; i < 3; ++i) forecast.took(RunWork::kStep, 1);
  // After steps 40, 80 and 100, each as long as 10 steps.
  EXPECT_DOUBLE_EQ(forecast.seconds_left(3, 100).value(), 97 + 3 * 10);
  forecast.took(RunWork::kValidation, 2);
  EXPECT_DOUBLE_EQ(forecast.seconds_left(90, 100).value(), 10 + 2);
}

TEST(Forecast, CountsSnapshotsAndEvaluations) {
  TrainOptions with_all = options();
  with_all.run.snapshot_every = 25;
  with_all.run.eval_every = 40;
  Forecast forecast(with_all, {});
  for (int i = 0; i < 3; ++i) forecast.took(RunWork::kStep, 1);
  forecast.took(RunWork::kSnapshot, 2);
  forecast.took(RunWork::kEvaluation, 10);
  // Snapshots of steps 25, 50, 75 and 100; evaluations of 40, 80 and 100.
  EXPECT_DOUBLE_EQ(forecast.seconds_left(3, 100).value(), 97 + 4 * 2 + 3 * 10);
}

}  // namespace
}  // namespace ddpm
