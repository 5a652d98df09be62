// What a network is trained to do is chosen once, by the flags of ddpm train, and needs no flag
// afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ddpm/base/file.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

class Objectives : public ::testing::Test {
 protected:
  void SetUp() override { make_pictures(pictures_, 6); }

  Words train(const Words& more) const {
    Words words = {"--batch",        "4", "--timesteps",    "40", "--steps", "2",
                   "--sample-every", "0", "--sample-steps", "10"};
    words.insert(words.end(), more.begin(), more.end());
    return small_training(pictures_, run_, words);
  }

  TemporaryFolder folder_;
  const std::string pictures_ = folder_ / "pictures";
  const std::string run_ = folder_ / "run";
};

TEST_F(Objectives, AreKeptInTheModelAndSampledWithoutAFlag) {
  const Outcome trained = run_ddpm(train(
      {"--objective", "v", "--weighting", "min-snr", "--min-snr-gamma", "4", "--learned-variance",
       "--offset-noise", "0.1", "--input-perturbation", "0.2", "--self-condition", "--dropout",
       "0.1", "--low-discrepancy", "--pairing", "immiscible", "--augment", "0.3"}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const Outcome info = run_ddpm({"info", run_, "--json"});
  const Json config = Json::parse(info.out)["config"];
  const Json file = Json::parse(read_file(run_ + "/config.json"));
  const std::pair<const char*, Json> expected[] = {
      {"objective", "v"},         {"weighting", "min-snr"}, {"min_snr_gamma", 4.0},
      {"learned_variance", true}, {"offset_noise", 0.1},    {"input_perturbation", 0.2},
      {"self_condition", true},   {"dropout", 0.1},         {"low_discrepancy", true},
      {"pairing", "immiscible"}};
  for (const auto& [key, value] : expected) {
    EXPECT_EQ(config[key], value) << key;
    EXPECT_EQ(file[key], value) << key;
  }
  EXPECT_EQ(config["augment_channels"], 9);
  EXPECT_EQ(file["augment"], 0.3);
  EXPECT_EQ(config["output_dim"], 2 * config["channels"].get<int>());
  for (const std::string sampler : {"ddpm", "ddim", "ipndm"}) {
    const Outcome sampled = run_ddpm({"sample", run_, "--sampler", sampler, "--steps", "4", "--n",
                                      "2", "--out", folder_ / (sampler + ".png")});
    EXPECT_EQ(sampled.status, 0) << sampler << sampled.err;
  }
  // Another objective is another run.
  const Outcome resumed =
      run_ddpm({"train", "--out", run_, "--resume", "--steps", "3", "--objective", "eps"});
  EXPECT_EQ(resumed.status, 2);
  EXPECT_THAT(resumed.err, HasSubstr("objective"));
  EXPECT_EQ(run_ddpm({"train", "--out", run_, "--resume", "--steps", "3"}).status, 0);
}

TEST_F(Objectives, WhatDoesNotFitTogetherIsRefusedWithWhatWould) {
  const struct {
    Words flags;
    const char* says;
  } mistakes[] = {
      {{"--zero-snr"}, "choose the objective v or x0"},
      {{"--zero-snr", "--objective", "flow"}, "choose the objective x0 or v"},
      {{"--zero-snr", "--objective", "v", "--weighting", "min-snr"}, "leave one of them out"},
      {{"--learned-variance", "--objective", "edm"}, "choose the objective eps, x0 or v"},
      {{"--time-sampling", "logit-normal"}, "choose uniform"},
      {{"--time-sampling", "uniform", "--objective", "edm"}, "choose log-normal"},
      {{"--time-sampling", "sometimes"}, "auto, uniform, log-normal or logit-normal"},
      {{"--weighting", "max-snr"}, "choose none, min-snr, soft-min-snr, edm or sigmoid"},
      {{"--min-snr-gamma", "0"}, "--min-snr-gamma is 0"},
      {{"--sigmoid-bias", "1"}, "choose the weighting sigmoid"},
      {{"--pairing", "nearest"}, "choose none, immiscible or ot"},
      {{"--pairing", "ot", "--condition", "grey"}, "leave one of them out"},
      {{"--augment", "1.5"}, "--augment is 1.5"},
      {{"--dropout", "1"}, "--dropout is 1"},
      {{"--offset-noise", "-1"}, "--offset-noise is -1"},
      {{"--input-perturbation", "nan"}, "--input-perturbation"},
  };
  for (const auto& [flags, says] : mistakes) {
    const Outcome outcome = run_ddpm(train(flags));
    EXPECT_EQ(outcome.status, 2) << says << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
  }
}

// A flag that says of a model what its weights deny.
TEST_F(Objectives, AModelThatWasTrainedOtherwiseIsRefused) {
  ASSERT_EQ(run_ddpm(train({})).status, 0);
  for (const auto& [flag, says] :
       {std::pair{"--learned-variance", "leave it out"},
        std::pair{"--self-condition", "leave it out"}, std::pair{"--zero-snr", "leave it out"}}) {
    const Outcome outcome = run_ddpm({"sample", run_, flag, "--out", folder_ / "grid.png"});
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
  }
}

}  // namespace
}  // namespace ddpm::test
