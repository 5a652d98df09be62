#include "ddpm/diffusion/process.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/sampler_test_support.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/kernels/arguments.h"

namespace ddpm {
namespace {

using test::steps_of;

TEST(Process, StepsLeadFromTheMostNoiseToTheImage) {
  for (const std::string& objective : objective_names()) {
    const Process process({.schedule = "cosine", .timesteps = 100, .objective = objective});
    for (const int64_t count : {1, 2, 7, 100}) {
      const std::vector<NoiseStep> steps = steps_of(process, count);
      ASSERT_EQ(static_cast<int64_t>(steps.size()), count) << objective;
      for (size_t i = 0; i < steps.size(); ++i) {
        EXPECT_LT(steps[i].from.log_snr(), steps[i].to.log_snr()) << objective << i;
        EXPECT_GT(steps[i].added, 0) << objective << i;
        EXPECT_GT(steps[i].stream, 0u) << objective << i;
        if (i == 0) continue;
        EXPECT_EQ(steps[i].from.alpha_squared, steps[i - 1].to.alpha_squared) << objective << i;
        EXPECT_EQ(steps[i].from.sigma_squared, steps[i - 1].to.sigma_squared) << objective << i;
        EXPECT_EQ(steps[i].from.t, steps[i - 1].to.t) << objective << i;
        EXPECT_NE(steps[i].stream, steps[i - 1].stream) << objective << i;
      }
      EXPECT_EQ(steps.back().to.alpha_squared, 1) << objective;
      EXPECT_EQ(steps.back().to.sigma_squared, 0) << objective;
    }
    EXPECT_EQ(process.most_steps(), 100);
    EXPECT_THROW(steps_of(process, -1), UsageError) << objective;
    EXPECT_THROW(steps_of(process, 101), UsageError) << objective;
  }
}

TEST(Process, DrawsTimeStepsEvenly) {
  const Process process({.schedule = "linear", .timesteps = 4});
  const Philox random(9);
  std::vector<int> counts(4);
  constexpr int kDraws = 4000;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const NoiseLevel level = process.draw(random, i);
    const auto t = static_cast<int64_t>(level.t);
    ++counts.at(static_cast<size_t>(t));
    EXPECT_EQ(level.alpha_squared, Schedule("linear", 4).alpha_bar(t));
  }
  // 4 standard deviations.
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 4.0, 4 * 28);
}

// Karras et al. 2022, equation 5 with 18 steps and table 1's c_noise. An independent program
// computed the numbers.
TEST(Process, EdmWalksItsLevelsOfSigma) {
  const std::vector<NoiseStep> steps = steps_of(Process({.objective = "edm"}), 18);
  const std::pair<size_t, double> sigmas[] = {
      {0, 80}, {1, 57.5859847212482}, {7, 5.31519452179638}, {17, 0.002}};
  for (const auto& [i, sigma] : sigmas) {
    EXPECT_NEAR(steps[i].from.sigma() / sigma, 1, 1e-12) << i;
    EXPECT_EQ(steps[i].from.alpha(), 1) << i;
  }
  EXPECT_NEAR(steps[0].from.t, 1.0955066584, 1e-9);
  EXPECT_NEAR(steps[17].from.t, -1.5536520246, 1e-9);
}

// ln sigma is normal with mean -1.2 and deviation 1.2.
TEST(Process, EdmDrawsSigmaLogNormally) {
  const Process process({.objective = "edm"});
  const Philox random(9);
  constexpr int kDraws = 4000;
  double sum = 0, squares = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const NoiseLevel level = process.draw(random, i);
    EXPECT_EQ(level.alpha_squared, 1);
    EXPECT_NEAR(level.t, std::log(level.sigma()) / 4, 1e-12);
    const double z = (std::log(level.sigma()) + 1.2) / 1.2;
    sum += z, squares += z * z;
  }
  const double root = std::sqrt(double{kDraws});
  EXPECT_NEAR(sum / kDraws, 0, 4 / root);
  EXPECT_NEAR(squares / kDraws, 1, 4 * std::sqrt(2.0) / root);
}

TEST(Process, FlowIsAStraightLine) {
  const Process process({.timesteps = 1000, .objective = "flow"});
  const std::vector<NoiseStep> steps = steps_of(process, 4);
  for (size_t i = 0; i < 4; ++i) {
    const double t = 1 - static_cast<double>(i) / 4;
    EXPECT_NEAR(steps[i].from.alpha(), 1 - t, 1e-15);
    EXPECT_NEAR(steps[i].from.sigma(), t, 1e-15);
    EXPECT_NEAR(steps[i].from.t, 1000 * t, 1e-12);
  }
  const Philox random(9);
  double sum = 0;
  constexpr int kDraws = 4000;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const NoiseLevel level = process.draw(random, i);
    EXPECT_GT(level.sigma(), 0);
    EXPECT_NEAR(level.alpha() + level.sigma(), 1, 1e-12);
    sum += level.sigma();
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 4 * std::sqrt(1.0 / 12 / kDraws));
}

// ln(t / (1 - t)) is standard normal.
TEST(Process, FlowDrawsLogitNormallyWhereAsked) {
  const Process process({.objective = "flow", .time_sampling = "logit-normal"});
  const Philox random(9);
  constexpr int kDraws = 4000;
  double sum = 0, squares = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const NoiseLevel level = process.draw(random, i);
    EXPECT_NEAR(level.t, 1000 * level.sigma(), 1e-9);
    const double z = std::log(level.sigma() / level.alpha());
    sum += z, squares += z * z;
  }
  const double root = std::sqrt(double{kDraws});
  EXPECT_NEAR(sum / kDraws, 0, 4 / root);
  EXPECT_NEAR(squares / kDraws, 1, 4 * std::sqrt(2.0) / root);
}

// Whatever the objective, an error of the image counts the same.
TEST(Process, MinSnrWeighsErrorsOfTheImage) {
  const Philox random(3);
  for (const std::string& objective : objective_names()) {
    const Process process(
        {.schedule = "cosine", .objective = objective, .weighting = "min-snr", .min_snr_gamma = 2});
    for (uint64_t i = 0; i < 100; ++i) {
      const NoiseLevel level = process.draw(random, i);
      const Preconditioning p = process.preconditioning(level);
      const double snr = std::exp(level.log_snr());
      EXPECT_NEAR(p.weight / (p.c_out * p.c_out) / std::min(snr, 2.0), 1, 1e-12) << objective;
    }
  }
}

TEST(Process, ZeroSnrStartsFromNoiseAlone) {
  for (const std::string objective : {"x0", "v"}) {
    const Process process({.schedule = "cosine", .objective = objective, .zero_snr = true});
    for (const int64_t count : {1, 7, 1000}) {
      const std::vector<NoiseStep> steps = steps_of(process, count);
      EXPECT_EQ(steps.front().from.alpha_squared, 0) << objective;
      EXPECT_EQ(steps.front().from.t, 999) << objective;
      EXPECT_EQ(steps.front().added, 1) << objective;
      // An image, whatever the step: no division by alpha.
      const Preconditioning p = process.preconditioning(steps.front().from);
      EXPECT_TRUE(std::isfinite(p.c_skip) && std::isfinite(p.c_out)) << objective;
    }
  }
}

// The variance that is learned multiplies noise that is larger by its shared part.
TEST(Process, TheBoundKnowsHowLargeTheNoiseIs) {
  const ProcessConfig plain{.timesteps = 10, .learned_variance = true};
  ProcessConfig offset = plain;
  offset.offset_noise = 0.75;
  const Schedule schedule("cosine", 10);
  for (const int64_t t : {0, 4}) {
    const BoundLevel with = Process(offset).bound(schedule.level(t));
    const BoundLevel without = Process(plain).bound(schedule.level(t));
    EXPECT_DOUBLE_EQ(with.scale, without.scale / (t == 0 ? 1 : 1.25)) << t;
    EXPECT_EQ(with.log_low, without.log_low) << t;
  }
}

TEST(Process, RefusesWhatCannotWork) {
  EXPECT_THROW(Process({.schedule = "no"}), UsageError);
  EXPECT_THROW(Process({.timesteps = 0}), UsageError);
  EXPECT_THROW(Process({.objective = "no"}), UsageError);
}

}  // namespace
}  // namespace ddpm
