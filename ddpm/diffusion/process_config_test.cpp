#include "ddpm/diffusion/process_config.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/process.h"

namespace ddpm {
namespace {

TEST(ProcessConfig, ListsItsFieldsInTheOrderOfTheFiles) {
  std::vector<std::string> names;
  ProcessConfig config;
  for (const Field& field : fields_of(config)) {
    names.push_back(field.name());
    field.check("test");
  }
  EXPECT_EQ(names, (std::vector<std::string>{"schedule", "timesteps", "objective", "zero_snr",
                                             "learned_variance", "weighting", "min_snr_gamma",
                                             "sigmoid_bias", "time_sampling", "low_discrepancy",
                                             "pairing", "offset_noise", "input_perturbation"}));
  config.objective = "no";
  EXPECT_THROW(fields_of(config).find("objective")->check("test"), UsageError);
}

// Each is refused with what would work.
TEST(ProcessConfig, WhatDoesNotFitTogetherIsRefused) {
  const struct {
    ProcessConfig config;
    std::vector<std::string> words;
  } mistakes[] = {
      {{.zero_snr = true}, {"zero-snr", "eps", "choose the objective v or x0"}},
      {{.min_snr_gamma = 3}, {"min-snr-gamma is 3", "none", "choose the weighting min-snr"}},
      {{.objective = "edm", .zero_snr = true}, {"zero-snr", "edm", "x0 or v"}},
      {{.objective = "flow", .zero_snr = true}, {"zero-snr", "flow", "x0 or v"}},
      {{.timesteps = 1, .objective = "v", .zero_snr = true}, {"zero-snr", "2 time steps"}},
      {{.objective = "v", .zero_snr = true, .weighting = "min-snr"},
       {"zero-snr", "min-snr", "leave one of them out"}},
      {{.objective = "edm", .time_sampling = "uniform"}, {"uniform", "edm", "choose log-normal"}},
      {{.objective = "edm", .time_sampling = "logit-normal"}, {"edm", "choose log-normal"}},
      {{.objective = "flow", .time_sampling = "log-normal"},
       {"log-normal", "flow", "choose uniform or logit-normal"}},
      {{.objective = "v", .time_sampling = "logit-normal"}, {"logit-normal", "v", "uniform"}},
      {{.objective = "flow", .learned_variance = true},
       {"learned-variance", "flow", "eps, x0 or v"}},
      {{.timesteps = 1, .learned_variance = true}, {"learned-variance", "2 time steps"}},
      {{.objective = "v", .zero_snr = true, .weighting = "soft-min-snr"},
       {"zero-snr", "soft-min-snr", "leave one of them out"}},
      {{.objective = "x0", .zero_snr = true, .weighting = "sigmoid"},
       {"zero-snr", "sigmoid", "leave one of them out"}},
      {{.weighting = "edm", .min_snr_gamma = 3}, {"edm", "min-snr or soft-min-snr"}},
      {{.weighting = "min-snr", .sigmoid_bias = 1}, {"sigmoid-bias is 1", "weighting sigmoid"}},
      {{.timesteps = 1, .weighting = "sigmoid"}, {"sigmoid", "2 time steps"}},
      {{.weighting = "no"}, {"'no'", "none, min-snr, soft-min-snr, edm or sigmoid"}},
      {{.pairing = "no"}, {"'no'", "none, immiscible or ot"}},
      {{.time_sampling = "no"}, {"'no'", "auto, uniform, log-normal or logit-normal"}},
  };
  for (const auto& [config, words] : mistakes) {
    try {
      config.check();
      ADD_FAILURE() << "no UsageError that says " << words.front();
    } catch (const UsageError& error) {
      for (const std::string& word : words)
        EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
    EXPECT_THROW(Process{config}, UsageError);
  }
}

TEST(ProcessConfig, WhatFitsTogetherIsTaken) {
  for (const ProcessConfig& config :
       {ProcessConfig{.objective = "x0", .zero_snr = true},
        ProcessConfig{.objective = "edm", .weighting = "min-snr", .time_sampling = "log-normal"},
        ProcessConfig{.objective = "flow", .weighting = "min-snr", .time_sampling = "uniform"},
        ProcessConfig{.objective = "v", .zero_snr = true, .weighting = "edm"},
        ProcessConfig{.weighting = "soft-min-snr", .min_snr_gamma = 4},
        ProcessConfig{.weighting = "sigmoid", .sigmoid_bias = -1},
        ProcessConfig{.low_discrepancy = true, .pairing = "ot"},
        ProcessConfig{.time_sampling = "uniform"}}) {
    EXPECT_NO_THROW(Process{config}) << config.objective;
  }
}

}  // namespace
}  // namespace ddpm
