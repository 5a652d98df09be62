#include "ddpm/diffusion/training/strata.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

std::vector<double> quantiles(uint64_t seed, uint64_t first, int64_t count) {
  return stratified_quantiles(seed, {first, count}, {first, count});
}

TEST(Strata, EachStratumHasOneImageWithOneShift) {
  for (const int64_t count : {1, 2, 7, 32}) {
    std::vector<double> all = quantiles(3, 100, count);
    std::sort(all.begin(), all.end());
    for (int64_t i = 0; i < count; ++i) {
      EXPECT_GT(all[i], static_cast<double>(i) / static_cast<double>(count));
      EXPECT_LT(all[i], static_cast<double>(i + 1) / static_cast<double>(count));
      EXPECT_NEAR(all[i], all[0] + static_cast<double>(i) / static_cast<double>(count), 1e-15);
    }
  }
}

TEST(Strata, APartOfABatchIsMadeAlone) {
  const std::vector<double> all = quantiles(3, 96, 32);
  for (const int64_t at : {0, 5, 30}) {
    const std::vector<double> part =
        stratified_quantiles(3, {96, 32}, {96 + static_cast<uint64_t>(at), 2});
    EXPECT_EQ(part, std::vector<double>(all.begin() + at, all.begin() + at + 2));
  }
  EXPECT_THROW(stratified_quantiles(3, {96, 32}, {95, 2}), Error);
  EXPECT_THROW(stratified_quantiles(3, {96, 32}, {127, 2}), Error);
}

// An image at a fixed position of the batch: over many steps its quantile is uniform, and every
// pair of positions differs in every way.
TEST(Strata, APositionAloneIsUniform) {
  constexpr int kSteps = 4000, kBatch = 8;
  std::vector<double> seen;
  std::set<int> orders;
  double product = 0;
  for (int step = 0; step < kSteps; ++step) {
    const std::vector<double> all = quantiles(9, static_cast<uint64_t>(step) * kBatch, kBatch);
    seen.push_back(all[3]);
    orders.insert(static_cast<int>(all[0] * kBatch) * kBatch + static_cast<int>(all[1] * kBatch));
    product += (all[0] - 0.5) * (all[1] - 0.5);
  }
  EXPECT_EQ(orders.size(), kBatch * (kBatch - 1));
  std::sort(seen.begin(), seen.end());
  for (int i = 0; i < kSteps; ++i)
    ASSERT_NEAR(seen[i], (i + 0.5) / kSteps, 1.6 / std::sqrt(kSteps));
  // Two positions of a batch never share a stratum, so they are correlated: -1 / (B - 1) of the
  // variance of the strata.
  const double expected = -(1 - 1.0 / (kBatch * kBatch)) / 12 / (kBatch - 1) + 1.0 / (12 * 64);
  EXPECT_NEAR(product / kSteps, expected, 4 * (1.0 / 12) / std::sqrt(kSteps));
}

TEST(Strata, TheMeanOfABatchVariesLess) {
  constexpr int kSteps = 1000, kBatch = 16;
  double squares = 0;
  for (int step = 0; step < kSteps; ++step) {
    double mean = 0;
    for (const double q : quantiles(9, static_cast<uint64_t>(step) * kBatch, kBatch))
      mean += q / kBatch;
    squares += (mean - 0.5) * (mean - 0.5) / kSteps;
  }
  // 1 / (12 B^2) in place of 1 / (12 B).
  EXPECT_NEAR(squares * 12 * kBatch * kBatch, 1, 0.15);
}

TEST(Strata, SeedAndBatchChangeThem) {
  EXPECT_NE(quantiles(3, 32, 32), quantiles(4, 32, 32));
  EXPECT_NE(quantiles(3, 32, 32), quantiles(3, 64, 32));
}

}  // namespace
}  // namespace ddpm
