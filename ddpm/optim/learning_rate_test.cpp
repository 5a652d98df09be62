#include "ddpm/optim/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/errors.h"

namespace ddpm {
namespace {

RateSchedule schedule_of(const std::string& name, int64_t decay_start = 0) {
  return {.schedule = name, .rate = 0.5, .warmup = 4, .decay_start = decay_start, .steps = 20};
}

TEST(LearningRate, RisesOverTheWarmUpInEverySchedule) {
  for (const std::string& name : rate_schedule_names()) {
    for (int step = 0; step < 4; ++step)
      EXPECT_DOUBLE_EQ(learning_rate_at(schedule_of(name), step), 0.5 * (step + 1) / 4) << name;
    EXPECT_EQ(learning_rate_at({.schedule = name, .rate = 0.3, .steps = 20}, 0), 0.3);
  }
}

TEST(LearningRate, FollowsTheClosedForms) {
  for (int step = 4; step < 20; ++step) {
    EXPECT_EQ(learning_rate_at(schedule_of("constant"), step), 0.5);
    EXPECT_NEAR(learning_rate_at(schedule_of("cosine"), step),
                0.5 * std::pow(std::cos(M_PI * (step - 4) / 32.0), 2), 1e-15);
    EXPECT_NEAR(learning_rate_at(schedule_of("linear"), step), 0.5 * (20 - step) / 16.0, 1e-15);
    EXPECT_NEAR(learning_rate_at(schedule_of("rsqrt"), step), 0.5 * 2 / std::sqrt(step + 1.0),
                1e-15);
  }
}

TEST(LearningRate, ADecayMayBeginLater) {
  EXPECT_EQ(learning_rate_at(schedule_of("linear", 12), 12), 0.5);
  EXPECT_NEAR(learning_rate_at(schedule_of("linear", 12), 16), 0.25, 1e-15);
  EXPECT_NEAR(learning_rate_at(schedule_of("cosine", 12), 16), 0.25, 1e-15);
  EXPECT_EQ(learning_rate_at(schedule_of("rsqrt", 9), 8), 0.5);
  EXPECT_NEAR(learning_rate_at(schedule_of("rsqrt", 9), 15), 0.375, 1e-15);
  // Not before the warm-up has ended.
  EXPECT_EQ(learning_rate_at(schedule_of("linear", 2), 10),
            learning_rate_at(schedule_of("linear"), 10));
}

TEST(LearningRate, StaysInItsBoundsAtTheEnd) {
  EXPECT_GT(learning_rate_at(schedule_of("cosine"), 19), 0);
  EXPECT_GT(learning_rate_at(schedule_of("linear"), 19), 0);
  EXPECT_EQ(learning_rate_at(schedule_of("cosine"), 25), 0);
  EXPECT_EQ(learning_rate_at(schedule_of("linear"), 25), 0);
  // A warm-up as long as the training leaves nothing to decay.
  EXPECT_EQ(learning_rate_at({.schedule = "linear", .rate = 1, .warmup = 9, .steps = 9}, 8), 1);
}

TEST(LearningRate, TakesAGivenShareOfTheDecay) {
  for (const std::string& name : rate_schedule_names()) {
    const RateSchedule known = schedule_of(name);
    RateSchedule unknown = known;
    unknown.steps = 1;
    for (int step = 0; step < 20; ++step) {
      const double decayed = std::max(step - 4, 0) / 16.0;
      EXPECT_EQ(learning_rate_at(unknown, step, decayed), learning_rate_at(known, step)) << name;
    }
  }
}

TEST(LearningRate, AnUnknownScheduleIsRefused) {
  EXPECT_EQ(test::refusal([] { learning_rate_at({.schedule = "step"}, 0); }),
            "[train] there is no schedule of the learning rate 'step'; choose constant, cosine, "
            "linear or rsqrt");
}

}  // namespace
}  // namespace ddpm
