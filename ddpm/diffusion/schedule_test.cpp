#include "ddpm/diffusion/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::refusal;

TEST(Schedule, LinearIsTheTableOfHoEtAl) {
  const Schedule schedule("linear");
  ASSERT_EQ(schedule.steps(), 1000);
  EXPECT_NEAR(schedule.beta(0), 1e-4, 1e-15);
  EXPECT_NEAR(schedule.beta(999), 0.02, 1e-15);
  EXPECT_NEAR(schedule.beta(500) - schedule.beta(499), (0.02 - 1e-4) / 999, 1e-15);
  // The sum of log(1 - beta), from its power series and the power sums of an arithmetic sequence.
  const double first = 1e-4, step = (0.02 - 1e-4) / 999;
  double s1 = 0, s2 = 0, s3 = 0, s4 = 0;
  for (int i = 0; i < 1000; ++i) {
    const double b = first + step * i;
    s1 += b, s2 += b * b, s3 += b * b * b, s4 += b * b * b * b;
  }
  EXPECT_NEAR(std::log(schedule.alpha_bar(999)), -(s1 + s2 / 2 + s3 / 3 + s4 / 4), 1e-6);
}

TEST(Schedule, OtherLengthsKeepTheTotalNoise) {
  const Schedule schedule("linear", 250);
  EXPECT_NEAR(schedule.beta(0), 4e-4, 1e-15);
  EXPECT_NEAR(schedule.beta(249), 0.08, 1e-15);
}

TEST(Schedule, QuadraticIsLinearInTheSquareRoot) {
  const Schedule schedule("quadratic", 1000);
  EXPECT_NEAR(schedule.beta(0), 1e-4, 1e-15);
  EXPECT_NEAR(schedule.beta(999), 0.02, 1e-15);
  const double third = std::sqrt(schedule.beta(333));
  EXPECT_NEAR(third, 0.01 + (std::sqrt(0.02) - 0.01) / 3, 1e-15);
}

TEST(Schedule, CosineFollowsItsClosedForm) {
  const int64_t steps = 1000;
  const Schedule schedule("cosine", steps);
  const auto f = [&](double t) {
    return std::pow(std::cos((t / 1000 + 0.008) / 1.008 * std::acos(-1.0) / 2), 2);
  };
  for (const int64_t t : {0, 1, 10, 500, 990, 998}) {
    EXPECT_NEAR(schedule.alpha_bar(t) / (f(static_cast<double>(t + 1)) / f(0)), 1, 1e-9) << t;
  }
  EXPECT_DOUBLE_EQ(schedule.beta(999), 0.999);
}

TEST(Schedule, SigmoidFollowsItsClosedForm) {
  const Schedule schedule("sigmoid", 1000);
  const auto logistic = [](double v) { return 1 / (1 + std::exp(-v)); };
  for (const int64_t t : {0, 1, 10, 500, 990, 998}) {
    const double u = static_cast<double>(t + 1) / 1000;
    const double expected = (logistic(3) - logistic(-3 + 6 * u)) / (logistic(3) - logistic(-3));
    EXPECT_NEAR(schedule.alpha_bar(t) / expected, 1, 1e-9) << t;
  }
}

TEST(Schedule, EveryTableIsSoundAtEveryLength) {
  for (const std::string& name : schedule_names()) {
    for (const int64_t steps : {1, 2, 5, 19, 50, 1000, 4000}) {
      const Schedule schedule(name, steps);
      ASSERT_EQ(schedule.steps(), steps);
      double previous = 1;
      for (int64_t t = 0; t < steps; ++t) {
        ASSERT_GT(schedule.beta(t), 0) << name << " " << t << " of " << steps;
        ASSERT_LE(schedule.beta(t), 0.999) << name << " " << t << " of " << steps;
        ASSERT_LT(schedule.alpha_bar(t), previous) << name << " " << t << " of " << steps;
        ASSERT_EQ(schedule.step(t).to.alpha_squared, previous);
        previous = schedule.alpha_bar(t);
      }
    }
  }
}

TEST(Schedule, EndsNearPureNoise) {
  for (const std::string& name : schedule_names()) {
    EXPECT_GT(Schedule(name).alpha_bar(0), 0.99) << name;
    EXPECT_LT(Schedule(name).alpha_bar(999), 2e-3) << name;
  }
}

// With x0 known, the precision and mean of q(x_{t-1} | x_t, x0) follow from its two factors.
TEST(Schedule, PosteriorIsBayesRule) {
  const Schedule schedule("cosine", 100);
  for (const int64_t t : {1, 2, 50, 98, 99}) {
    const NoiseStep step = schedule.step(t);
    const double alpha = schedule.alpha(t);
    const double prior = 1 - schedule.alpha_bar(t - 1);
    const double precision = alpha / schedule.beta(t) + 1 / prior;
    EXPECT_NEAR(step.posterior_variance() * precision, 1, 1e-9) << t;
    EXPECT_NEAR(step.posterior_x0(), std::sqrt(schedule.alpha_bar(t - 1)) / prior / precision, 1e-9)
        << t;
    EXPECT_NEAR(step.posterior_x(), std::sqrt(alpha) / schedule.beta(t) / precision, 1e-9) << t;
  }
}

TEST(Schedule, FirstStepHasNoNoiseLeft) {
  const NoiseStep step = Schedule("linear").step(0);
  EXPECT_EQ(step.posterior_variance(), 0);
  EXPECT_EQ(step.posterior_x(), 0);
  EXPECT_NEAR(step.posterior_x0(), 1, 1e-12);
}

TEST(Schedule, StepsJoinNeighbouringLevels) {
  const Schedule schedule = Schedule("linear").respaced({3, 10, 999});
  for (const int64_t i : {0, 1, 2}) {
    const NoiseStep step = schedule.step(i);
    EXPECT_EQ(step.from.alpha_squared, schedule.alpha_bar(i));
    EXPECT_EQ(step.from.sigma_squared, 1 - schedule.alpha_bar(i));
    EXPECT_EQ(step.from.t, static_cast<double>(schedule.timestep(i)));
    EXPECT_EQ(step.to.alpha_squared, i == 0 ? 1 : schedule.level(i - 1).alpha_squared);
    EXPECT_EQ(step.stream, static_cast<uint64_t>(1 + schedule.timestep(i)));
    // The coefficients of the schedule equal those computed from the levels, up to rounding.
    const NoiseStep between = step_between(step.from, step.to, step.stream);
    EXPECT_NEAR(step.kept, between.kept, 1e-15);
    EXPECT_NEAR(step.added, between.added, 1e-15);
  }
  EXPECT_EQ(schedule.step(0).to.sigma_squared, 0);
  EXPECT_THROW(schedule.step(3), Error);
  EXPECT_THROW(schedule.level(-1), Error);
}

TEST(Schedule, RespacedKeepsAlphaBar) {
  const Schedule full("linear");
  const Schedule few = full.respaced({0, 10, 999});
  ASSERT_EQ(few.steps(), 3);
  EXPECT_EQ(few.timestep(1), 10);
  EXPECT_EQ(few.alpha_bar(1), full.alpha_bar(10));
  EXPECT_EQ(few.step(2).to.alpha_squared, full.alpha_bar(10));
  EXPECT_NEAR((1 - few.beta(2)) * (1 - few.beta(1)) * (1 - few.beta(0)), full.alpha_bar(999),
              1e-15);
}

TEST(Schedule, RespacedTwiceRemembersTheFirstSteps) {
  EXPECT_EQ(Schedule("linear").respaced({5, 10, 20}).respaced({1, 2}).timestep(0), 10);
}

TEST(Schedule, EvenSpacingTakesBothEnds) {
  const Schedule full("linear", 1000);
  for (const int64_t count : {2, 3, 7, 50, 999, 1000}) {
    const Schedule few = full.respaced(count);
    ASSERT_EQ(few.steps(), count);
    EXPECT_EQ(few.timestep(0), 0);
    EXPECT_EQ(few.timestep(count - 1), 999);
  }
  EXPECT_EQ(full.respaced(3).timestep(1), 500);
  EXPECT_EQ(full.respaced(1).timestep(0), 999);
}

TEST(Schedule, RefusesWhatCannotWork) {
  EXPECT_EQ(refusal([] { Schedule("cosin"); }),
            "[schedule] there is no schedule 'cosin'; choose " + join_choices(schedule_names()));
  EXPECT_EQ(refusal([] { Schedule("linear", 0); }), "[schedule] 0 steps; choose 1 to 1000000");
  EXPECT_THROW(Schedule("linear", int64_t{1} << 60), UsageError);
  const Schedule schedule("linear", 10);
  EXPECT_THROW(schedule.respaced(0), UsageError);
  EXPECT_THROW(schedule.respaced(11), UsageError);
  EXPECT_THROW(schedule.respaced(std::vector<int64_t>{}), UsageError);
  EXPECT_THROW(schedule.respaced({3, 3}), UsageError);
  EXPECT_THROW(schedule.respaced({0, 10}), UsageError);
  EXPECT_THROW(schedule.beta(10), Error);
}

}  // namespace
}  // namespace ddpm
