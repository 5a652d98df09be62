#include "ddpm/diffusion/process.h"

#include <gtest/gtest.h>

#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

TEST(Process, StepsLeadFromTheMostNoiseToTheImage) {
  for (const std::string& objective : objective_names()) {
    const Process process({.schedule = "cosine", .timesteps = 100, .objective = objective});
    for (const int64_t count : {1, 2, 7, 100}) {
      const std::vector<NoiseStep> steps = process.steps(count);
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
    EXPECT_THROW(process.steps(0), UsageError) << objective;
    EXPECT_THROW(process.steps(101), UsageError) << objective;
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
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 4, 4 * 28);  // 4 standard deviations
}

TEST(ProcessConfig, ListsItsFieldsInTheOrderOfTheFiles) {
  std::vector<std::string> names;
  ProcessConfig config;
  for (const Field& field : fields_of(config)) {
    names.push_back(field.name());
    field.check("test");
  }
  EXPECT_EQ(names, (std::vector<std::string>{"schedule", "timesteps", "objective"}));
  config.objective = "no";
  EXPECT_THROW(fields_of(config).find("objective")->check("test"), UsageError);
}

TEST(Process, RefusesWhatCannotWork) {
  EXPECT_THROW(Process({.schedule = "no"}), UsageError);
  EXPECT_THROW(Process({.timesteps = 0}), UsageError);
  EXPECT_THROW(Process({.objective = "no"}), UsageError);
}

}  // namespace
}  // namespace ddpm
