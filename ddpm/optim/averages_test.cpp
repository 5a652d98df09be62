#include "ddpm/optim/averages.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ddpm/optim/post_hoc.h"
#include "tests/support/errors.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using test::refusal;

Variable weights_of(float value) { return Variable::leaf(Tensor::full({2}, value)); }

TEST(Averages, AHalfLifeHalvesWhatWasBefore) {
  Variable w = weights_of(1);
  Averages averages({w}, {.halflives = {100, 50}, .ramp = 0});
  w.value().copy_from(Tensor::full({2}, 0));
  for (int step = 1; step <= 10; ++step) averages.update(10 * step, 10);
  EXPECT_NEAR(averages.values(0)[0].values()[0], 0.5, 1e-6);
  EXPECT_NEAR(averages.values(1)[0].values()[1], 0.25, 1e-6);
  EXPECT_EQ(averages.name(1), "halflife_50");
}

TEST(Averages, TheRampLimitsTheHalfLifeToAShareOfThePicturesSeen) {
  EXPECT_DOUBLE_EQ(halflife_decay(1000, 0.05, 400, 20), 0.5);
  EXPECT_DOUBLE_EQ(halflife_decay(1000, 0.05, 1e6, 1000), 0.5);
  EXPECT_DOUBLE_EQ(halflife_decay(1000, 0, 400, 1000), 0.5);
  EXPECT_DOUBLE_EQ(power_decay(2, 10, 5), 0.125);
  EXPECT_EQ(power_decay(6.94, 32, 32), 0);
}

TEST(Averages, AWidthOfTheMeanOfAllWeightsIsTheirMean) {
  Variable w = weights_of(7);
  Averages averages({w}, {.widths = {power_width(0)}});
  for (int step = 1; step <= 5; ++step) {
    w.value().copy_from(Tensor::full({2}, static_cast<float>(step)));
    averages.update(4 * step, 4);
  }
  EXPECT_NEAR(averages.values(0)[0].values()[0], 3, 1e-6);
}

std::vector<std::vector<float>> after_steps(int stop) {
  Variable w = Variable::leaf(Tensor::zeros({1001}));
  const AverageOptions options{.halflives = {64, 640}, .widths = {0.05, 0.1}};
  auto averages = std::make_unique<Averages>(std::vector<Variable>{w}, options);
  for (int step = 1; step <= 12; ++step) {
    for (int64_t i = 0; i < 1001; ++i) w.value().f32()[i] = std::sin(static_cast<float>(step * i));
    averages->update(8 * step, 8);
    if (step != stop) continue;
    // As if the program were started again.
    auto resumed = std::make_unique<Averages>(std::vector<Variable>{w}, options);
    for (size_t k = 0; k < averages->size(); ++k)
      Tensor(resumed->values(k)[0]).copy_from(averages->values(k)[0]);
    averages = std::move(resumed);
  }
  std::vector<std::vector<float>> values;
  for (size_t k = 0; k < averages->size(); ++k) values.push_back(averages->values(k)[0].values());
  return values;
}

TEST(Averages, GoOnExactlyAfterAnInterruptionAndForAnyThreads) {
  const test::ThreadsScope scope(1);
  const auto whole = after_steps(0);
  EXPECT_EQ(after_steps(3), whole);
  set_num_threads(3);
  EXPECT_EQ(after_steps(5), whole);
}

TEST(Averages, RefuseWhatCannotBe) {
  EXPECT_NE(refusal([] { Averages({}, {.halflives = {0}}); }).find("half-life of 0"),
            std::string::npos);
  EXPECT_NE(refusal([] { Averages({}, {.widths = {0.3}}); }).find("0.3 but must be from 0.0001"),
            std::string::npos);
  EXPECT_NE(refusal([] { power_gamma(NAN); }), "");
}

TEST(PostHoc, AStoredAverageIsItsOwnBestApproximation) {
  const std::vector<PowerProfile> stored = {{100, 17}, {200, 17}, {200, 6.9}, {200, 6.9}};
  const std::vector<double> coefficients = post_hoc_coefficients(stored, {200, 17});
  EXPECT_NEAR(coefficients[0], 0, 1e-12);
  EXPECT_NEAR(coefficients[1], 1, 1e-12);
  // Stored twice: each counts half.
  const std::vector<double> twice = post_hoc_coefficients(stored, {200, 6.9});
  EXPECT_NEAR(twice[2], 0.5, 1e-12);
  EXPECT_NEAR(twice[3], 0.5, 1e-12);
}

TEST(PostHoc, TheErrorIsTheDistanceBetweenTheDistributions) {
  const std::vector<PowerProfile> stored = {{100, 17}, {200, 6.9}};
  EXPECT_NEAR(post_hoc_error(stored, {0, 1}, {200, 6.9}), 0, 1e-7);
  EXPECT_EQ(post_hoc_error(stored, {0, 0}, {200, 6.9}), 1);
  // Against a sum over time.
  const std::vector<double> coefficients = post_hoc_coefficients(stored, {200, 3});
  const auto density = [](const PowerProfile& of, double time) {
    if (time > of.time) return 0.0;
    return (of.gamma + 1) / of.time * std::pow(time / of.time, of.gamma);
  };
  double squares = 0, whole = 0;
  for (double time = 0.005; time < 200; time += 0.01) {
    const double wanted = density({200, 3}, time);
    const double made =
        coefficients[0] * density(stored[0], time) + coefficients[1] * density(stored[1], time);
    squares += (made - wanted) * (made - wanted);
    whole += wanted * wanted;
  }
  EXPECT_NEAR(post_hoc_error(stored, coefficients, {200, 3}), std::sqrt(squares / whole), 1e-4);
}

TEST(PostHoc, RefusesWhatCannotBe) {
  EXPECT_NE(refusal([] {
              post_hoc_coefficients({}, {10, 3});
            }).find("no stored averages"),
            std::string::npos);
  EXPECT_NE(refusal([] {
              post_hoc_coefficients({{0, 3}}, {10, 3});
            }).find("must be above 0"),
            std::string::npos);
}

}  // namespace
}  // namespace ddpm
