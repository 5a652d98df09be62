#include "ddpm/diffusion/weighting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <string>

#include "ddpm/base/philox.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/schedule.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

// Checks the weight of the output's error at random levels against a formula of alpha^2 and
// sigma^2.
void expect_weights(const ProcessConfig& config,
                    const std::function<double(double alpha2, double sigma2)>& formula) {
  const Process process(config);
  const Philox random(3);
  for (uint64_t i = 0; i < 200; ++i) {
    const NoiseLevel level = process.draw(random, i);
    const double wanted = formula(level.alpha_squared, level.sigma_squared);
    EXPECT_NEAR(process.preconditioning(level).weight / wanted, 1, 1e-12)
        << config.objective << " " << config.weighting << " " << level.t;
  }
}

TEST(Weighting, SoftMinSnr) {
  constexpr double kGamma = 3;
  const auto config = [](const char* objective) {
    return ProcessConfig{.schedule = "cosine",
                         .objective = objective,
                         .weighting = "soft-min-snr",
                         .min_snr_gamma = kGamma};
  };
  expect_weights(config("eps"), [](double a, double s) { return kGamma / (a / s + kGamma); });
  expect_weights(config("x0"), [](double a, double s) { return kGamma * a / (a + kGamma * s); });
  expect_weights(config("v"), [](double a, double s) { return kGamma * a * s / (a + kGamma * s); });
  expect_weights(config("flow"),
                 [](double a, double s) { return kGamma * a * s / (a + kGamma * s); });
}

// With sigma_data 0.5 and gamma 4 it is (sigma sigma_data)^2 / (sigma^2 + sigma_data^2)^2 for EDM's
// output, as Crowson et al. train.
TEST(Weighting, SoftMinSnrOfEdm) {
  expect_weights({.objective = "edm", .weighting = "soft-min-snr", .min_snr_gamma = 4},
                 [](double, double s) { return 0.25 * s / ((s + 0.25) * (s + 0.25)); });
}

TEST(Weighting, Edm) {
  const auto config = [](const char* objective) {
    return ProcessConfig{.objective = objective, .weighting = "edm"};
  };
  expect_weights(config("edm"), [](double, double) { return 1.0; });
  expect_weights(config("eps"), [](double a, double s) { return 1 + 4 * s / a; });
  expect_weights(config("x0"), [](double a, double s) { return a / s + 4; });
  expect_weights(config("v"), [](double, double s) { return 1 + 3 * s; });
  expect_weights(config("flow"), [](double a, double s) { return a + 4 * s; });
}

// The image of noise alone counts, too.
TEST(Weighting, EdmGoesWithZeroSnr) {
  const Process process({.objective = "v", .zero_snr = true, .weighting = "edm"});
  EXPECT_EQ(process.preconditioning(process.noisiest()).weight, 4);
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Weighting, SigmoidOfContinuousLevels) {
  constexpr double kBias = -1;
  const auto of_noise = [](double a, double s) { return logistic(kBias - std::log(a / s)); };
  const ProcessConfig flow{.objective = "flow", .weighting = "sigmoid", .sigmoid_bias = kBias};
  // t is uniform: half of -d log SNR / dt is 1 / (t (1 - t)). The velocity's error is that of the
  // noise times 1 / (1 - t).
  expect_weights(flow, [&](double a, double s) { return of_noise(a, s) / std::sqrt(a * s) * a; });
  ProcessConfig logit = flow;
  logit.time_sampling = "logit-normal";
  expect_weights(logit, [&](double a, double s) {
    const double z = std::log(s / a) / 2;
    const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi) / 2;
    return of_noise(a, s) / density / 2 * a;
  });
  const ProcessConfig edm{.objective = "edm", .weighting = "sigmoid", .sigmoid_bias = kBias};
  expect_weights(edm, [&](double, double s) {
    const double z = (std::log(s) / 2 + 1.2) / 1.2;
    const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi) / 2.4;
    return of_noise(1, s) / density / 2 * 0.25 / (s + 0.25);
  });
}

TEST(Weighting, SigmoidOfTimeSteps) {
  constexpr double kBias = 0.5;
  const Schedule schedule("cosine", 20);
  for (const std::string objective : {"eps", "x0", "v"}) {
    const Process process({.schedule = "cosine",
                           .timesteps = 20,
                           .objective = objective,
                           .weighting = "sigmoid",
                           .sigmoid_bias = kBias});
    double sum = 0;
    for (int64_t i = 0; i < 20; ++i) {
      const NoiseLevel level = schedule.level(i);
      const double before = schedule.level(std::max<int64_t>(i - 1, 0)).log_snr();
      const double after = schedule.level(std::min<int64_t>(i + 1, 19)).log_snr();
      const double of_noise = 20 * (before - after) / 2 / 2 * logistic(kBias - level.log_snr());
      // An error of the output, as one of the noise.
      const double squared = objective == "eps" ? 1.0
                             : objective == "v" ? level.alpha_squared
                                                : level.alpha_squared / level.sigma_squared;
      EXPECT_NEAR(process.preconditioning(level).weight / (of_noise * squared), 1, 1e-12)
          << objective << i;
      sum += process.inverse_density(level) / 20;
    }
    // The steps together span the whole range of log SNR.
    EXPECT_NEAR(sum, schedule.level(0).log_snr() - schedule.level(19).log_snr(), 1e-9);
  }
}

// The mean loss does not depend on how the levels are drawn: here its mean over both distributions
// of flow, for an error of the noise that depends on the level.
TEST(Weighting, SigmoidDoesNotDependOnTheDistribution) {
  const auto mean_loss = [](const std::string& sampling) {
    const Process process({.objective = "flow", .weighting = "sigmoid", .time_sampling = sampling});
    constexpr int kLevels = 200000;
    double sum = 0;
    for (int i = 0; i < kLevels; ++i) {
      const NoiseLevel level = process.at_quantile((i + 0.5) / kLevels);
      // Far from the ends, so that the sums converge.
      const double log_snr = level.log_snr();
      const double squared_error = std::exp(-log_snr * log_snr / 2) / level.alpha_squared;
      sum += process.preconditioning(level).weight * squared_error / kLevels;
    }
    return sum;
  };
  EXPECT_NEAR(mean_loss("uniform") / mean_loss("logit-normal"), 1, 1e-6);
}

TEST(Weighting, NoiseAloneHasNoWeightWhereTheImageIsGone) {
  const Process process({.objective = "flow", .weighting = "sigmoid"});
  EXPECT_EQ(process.preconditioning(process.noisiest()).weight, 0);
}

TEST(Weighting, RefusesAnUnknownName) {
  EXPECT_EQ(test::refusal([] { find_weighting("snr"); }),
            "[process] there is no weighting 'snr'; choose none, min-snr, soft-min-snr, edm or "
            "sigmoid");
}

}  // namespace
}  // namespace ddpm
