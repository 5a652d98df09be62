#include "ddpm/data/batch_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

std::vector<int64_t> first_indices(const BatchSamplerOptions& options, int64_t steps) {
  BatchSampler sampler(options);
  std::vector<int64_t> all;
  for (int64_t step = 0; step < steps; ++step) {
    const BatchPlan plan = sampler.at(step);
    all.insert(all.end(), plan.indices.begin(), plan.indices.end());
  }
  return all;
}

TEST(BatchSamplerTest, RejectsWhatIsNoSampling) {
  EXPECT_THROW(BatchSampler({.images = 0}), UsageError);
  EXPECT_THROW(BatchSampler({.images = 3, .batch = 0}), UsageError);
}

TEST(BatchSamplerTest, EveryEpochIsAFreshPermutation) {
  // 8 does not divide 37, so some batches contain parts of two epochs.
  const std::vector<int64_t> all = first_indices({.images = 37, .batch = 8, .seed = 3}, 37);
  std::set<std::vector<int64_t>> orders;
  for (auto epoch = all.begin(); epoch != all.end(); epoch += 37) {
    std::vector<int64_t> order(epoch, epoch + 37);
    orders.insert(order);
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < 37; ++i) EXPECT_EQ(order[i], i);
  }
  EXPECT_EQ(orders.size(), 8u);
}

TEST(BatchSamplerTest, AStepFollowsFromItsNumberAlone) {
  const BatchSamplerOptions options{.images = 10, .batch = 4, .seed = 5, .flip = true};
  BatchSampler onward(options), jumping(options);
  std::vector<BatchPlan> plans;
  for (int64_t step = 0; step < 20; ++step) plans.push_back(onward.at(step));
  for (const int64_t step : {19, 3, 11, 0, 3}) {
    const BatchPlan plan = jumping.at(step);
    EXPECT_EQ(plan.indices, plans[step].indices);
    EXPECT_EQ(plan.flips, plans[step].flips);
  }
}

TEST(BatchSamplerTest, SeedsDiffer) {
  EXPECT_NE(first_indices({.images = 100, .batch = 100, .seed = 1}, 1),
            first_indices({.images = 100, .batch = 100, .seed = 2}, 1));
}

TEST(BatchSamplerTest, FewPicturesFillALargeBatch) {
  BatchSampler sampler({.images = 3, .batch = 12});
  std::map<int64_t, int> counts;
  for (const int64_t index : sampler.at(7).indices) ++counts[index];
  EXPECT_EQ(counts, (std::map<int64_t, int>{{0, 4}, {1, 4}, {2, 4}}));
}

TEST(BatchSamplerTest, EveryOrderIsEquallyLikely) {
  const int64_t epochs = 6000;
  const std::vector<int64_t> all = first_indices({.images = 3, .batch = 3}, epochs);
  std::map<std::vector<int64_t>, int> counts;
  for (int64_t e = 0; e < epochs; ++e) ++counts[{all.begin() + 3 * e, all.begin() + 3 * e + 3}];
  ASSERT_EQ(counts.size(), 6u);
  // 150 is five standard deviations.
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 150);
}

TEST(BatchSamplerTest, HalfOfThePicturesAreFlippedWhenAsked) {
  BatchSampler flipping({.images = 50, .batch = 4000, .flip = true});
  const BatchPlan plan = flipping.at(1);
  EXPECT_NEAR(std::count(plan.flips.begin(), plan.flips.end(), 1), 2000, 160);
  BatchSampler plain({.images = 50, .batch = 4000});
  const BatchPlan still = plain.at(1);
  EXPECT_EQ(std::count(still.flips.begin(), still.flips.end(), 0), 4000);
  EXPECT_EQ(still.indices, plan.indices);
}

TEST(BatchSamplerTest, CropsDependOnTheStepAlone) {
  BatchSamplerOptions options{.images = 10, .batch = 4, .seed = 5, .crop = true};
  BatchSampler sampler(options), other(options);
  const BatchPlan plan = sampler.at(7);
  ASSERT_EQ(plan.crops.size(), 4u);
  EXPECT_NE(plan.crops[0], plan.crops[1]);
  EXPECT_NE(sampler.at(8).crops, plan.crops);
  other.at(3);
  EXPECT_EQ(other.at(7), plan);
  options.crop = false;
  EXPECT_EQ(BatchSampler(options).at(7).indices, plan.indices);
  EXPECT_TRUE(BatchSampler(options).at(7).crops.empty());
}

}  // namespace
}  // namespace ddpm
