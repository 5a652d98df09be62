#include "ddpm/engine/tuner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/mixture_model.h"
#include "ddpm/nn/network.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

// Two narrow Gaussians over images of one pixel and two channels, with an exact denoiser.
class Tuner : public testing::Test {
 protected:
  Tuner() {
    const auto mixture = std::make_shared<GaussianMixture>(GaussianMixture{
        .size = 2, .weights = {0.7, 0.3}, .means = {0.6, -0.4, -0.5, 0.3}, .stds = {0.1, 0.05}});
    config_.process = {.schedule = "cosine", .objective = "v"};
    config_.network = MixtureConfig{.mixture = mixture, .process = config_.process, .channels = 2};
    config_.height = config_.width = 1;
    network_ = make_network(config_.network);
    options_.count = 16;
    options_.sampling.steps = 6;
  }

  ModelConfig config_;
  std::unique_ptr<Network> network_;
  GenerateOptions options_;
};

TEST_F(Tuner, ComesCloserToTheFineTrajectoryOnOtherNoise) {
  int64_t trials = 0, most = 0;
  const TuneResult result =
      tune(*network_, config_, options_, [&](int64_t trial, int64_t of, double) {
        trials = trial;
        most = of;
        return true;
      });
  EXPECT_LT(result.after, 0.7 * result.before);
  EXPECT_EQ(trials, most);
  EXPECT_EQ(result.levels.sampler, "unipc");
  EXPECT_EQ(result.levels.times.size(), 6u);
  // The model takes its levels by default, with their sampler and number of evaluations.
  ModelConfig tuned = config_;
  tuned.tuned = result.levels;
  EXPECT_NO_THROW(tuned.check());
  GenerateOptions plain{.count = 4};
  const Tensor drawn = generate(*network_, tuned, plain);
  plain.sampling = {.sampler = "unipc", .steps = 6, .spacing = "tuned"};
  EXPECT_EQ(drawn.values(), generate(*network_, tuned, plain).values());
  plain.sampling = {.steps = 7, .spacing = "tuned"};
  EXPECT_EQ(
      test::refusal([&] { generate(*network_, tuned, plain); }),
      "[sample] the model has 6 tuned levels, but these steps need 7; leave the steps out, or "
      "choose another spacing");
  plain.sampling = {.spacing = "tuned"};
  EXPECT_NE(test::refusal([&] { generate(*network_, config_, plain); }).find("ddpm tune"),
            std::string::npos);
}

TEST_F(Tuner, GivesTheSameLevelsEachTime) {
  options_.count = 4;
  options_.sampling.steps = 3;
  EXPECT_EQ(tune(*network_, config_, options_).levels.times,
            tune(*network_, config_, options_).levels.times);
}

TEST_F(Tuner, RefusesSamplersThatAddNoise) {
  for (const char* sampler : {"ddpm", "dpmpp-2m-sde", "euler-ancestral"}) {
    options_.sampling.sampler = sampler;
    EXPECT_NE(test::refusal([&] { tune(*network_, config_, options_); }).find("adds noise"),
              std::string::npos)
        << sampler;
  }
  options_.sampling = {.sampler = "euler", .steps = 6, .churn = "4"};
  EXPECT_NE(test::refusal([&] { tune(*network_, config_, options_); }), "");
  options_.sampling = {.sampler = "ddim", .steps = 6, .eta = 0.5};
  EXPECT_NE(test::refusal([&] { tune(*network_, config_, options_); }), "");
}

// dpmpp-2m leaves the first time step out with some spacings, which then have one level too few.
TEST_F(Tuner, LeavesOutSpacingsThatHaveTooFewLevels) {
  config_.process.timesteps = 6;
  config_.network.get<MixtureConfig>()->process = config_.process;
  network_ = make_network(config_.network);
  options_.count = 4;
  options_.sampling.sampler = "dpmpp-2m";
  const Process process(config_.process);
  const std::vector<std::string> most = fitting_spacings(options_.sampling, process);
  EXPECT_EQ(most, (std::vector<std::string>{"trailing", "karras", "log-snr", "balanced"}));
  const TuneResult result = tune(*network_, config_, options_);
  EXPECT_EQ(result.levels.times.size(), 6u);
  EXPECT_NE(std::find(most.begin(), most.end(), result.best_spacing), most.end());
  options_.sampling.steps = 5;
  EXPECT_EQ(fitting_spacings(options_.sampling, process).size(), 6u);
}

// Heun's method takes one evaluation less on levels that begin at noise alone.
TEST_F(Tuner, TakesNoMoreEvaluationsThanAsked) {
  config_.process = {.schedule = "cosine", .timesteps = 50, .objective = "v", .zero_snr = true};
  config_.network.get<MixtureConfig>()->process = config_.process;
  network_ = make_network(config_.network);
  options_.count = 4;
  for (const int64_t steps : {4, 5}) {
    options_.sampling = {.sampler = "heun", .steps = steps};
    int64_t last = 0, last_most = 0;
    const auto progress = [&](int64_t trial, int64_t most, double) {
      EXPECT_LE(trial, most);
      last = trial, last_most = most;
      return true;
    };
    const TunedLevels levels = tune(*network_, config_, options_, progress).levels;
    EXPECT_EQ(last, last_most);
    const int64_t taken =
        completed({.sampler = "heun", .spacing = "tuned"}, Process(config_.process), levels).steps;
    EXPECT_LE(taken, steps);
    EXPECT_GE(taken, steps - 1);
  }
}

TEST_F(Tuner, StopsWhenAsked) {
  EXPECT_EQ(test::message_of([&] {
              tune(*network_, config_, options_, [](int64_t, int64_t, double) { return false; });
            }),
            "[tune] cancelled");
}

}  // namespace
}  // namespace ddpm
