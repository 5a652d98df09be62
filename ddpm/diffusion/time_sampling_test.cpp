#include "ddpm/diffusion/time_sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/process.h"

namespace ddpm {
namespace {

// Numbers from tables of the normal distribution.
TEST(NormalQuantile, IsThatOfTheTables) {
  EXPECT_NEAR(normal_quantile(0.5), 0, 1e-15);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-14);
  EXPECT_NEAR(normal_quantile(0.025), -1.959963984540054, 1e-14);
  EXPECT_NEAR(normal_quantile(0.75), 0.6744897501960817, 1e-15);
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-13);
}

TEST(NormalQuantile, UndoesTheDistributionFunction) {
  for (double z = -8; z <= 0; z += 0.125) {
    const double q = std::erfc(-z / std::numbers::sqrt2) / 2;
    EXPECT_NEAR(normal_quantile(q), z, 1e-13);
  }
  // Exact in binary, so that 1 - q is.
  for (const double q : {0.4375, 0.25, 0x1p-20})
    EXPECT_EQ(normal_quantile(1 - q), -normal_quantile(q)) << q;
  EXPECT_THROW(normal_quantile(0), Error);
  EXPECT_THROW(normal_quantile(1), Error);
}

// The quantiles of each distribution are those of very many levels drawn one by one.
TEST(TimeSampling, QuantilesAreThoseOfTheDraws) {
  const ProcessConfig configs[] = {{.timesteps = 7},
                                   {.objective = "edm"},
                                   {.objective = "flow"},
                                   {.objective = "flow", .time_sampling = "logit-normal"}};
  for (const ProcessConfig& config : configs) {
    const Process process(config);
    const Philox random(5);
    constexpr int kDraws = 20000;
    std::vector<double> drawn, spread;
    for (int i = 0; i < kDraws; ++i) {
      drawn.push_back(process.draw(random, 4 * static_cast<uint64_t>(i)).ratio());
      spread.push_back(process.at_quantile((i + 0.5) / kDraws).ratio());
    }
    std::sort(drawn.begin(), drawn.end());
    std::sort(spread.begin(), spread.end());
    // Kolmogorov and Smirnov: the largest distance of both distribution functions.
    double distance = 0;
    for (int i = 0; i < kDraws; ++i) {
      const auto above = std::upper_bound(drawn.begin(), drawn.end(), spread[i]) - drawn.begin();
      const auto of_spread =
          std::upper_bound(spread.begin(), spread.end(), spread[i]) - spread.begin();
      distance = std::max(distance, std::abs(static_cast<double>(above - of_spread)) / kDraws);
    }
    EXPECT_LT(distance, 1.6 / std::sqrt(kDraws)) << config.objective << config.time_sampling;
  }
}

}  // namespace
}  // namespace ddpm
