#include "ddpm/data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

Dataset numbered(int64_t count, int64_t height, int64_t width, int64_t channels) {
  Tensor images({count, height, width, channels}, DType::kUInt8);
  for (int64_t i = 0; i < images.elements(); ++i) images.u8()[i] = static_cast<uint8_t>(i * 7);
  return Dataset(images, "numbered");
}

std::vector<int64_t> first_indices(const SamplerOptions& options, int64_t steps) {
  BatchSampler sampler(options);
  std::vector<int64_t> all;
  for (int64_t step = 0; step < steps; ++step) {
    const BatchPlan plan = sampler.at(step);
    all.insert(all.end(), plan.indices.begin(), plan.indices.end());
  }
  return all;
}

TEST(DatasetTest, BatchHoldsTheChosenPicturesInOrder) {
  const Dataset data = numbered(5, 2, 3, 3);
  const Tensor batch = data.batch({{4, 0, 4}, {}});
  ASSERT_EQ(batch.shape(), (Shape{3, 2, 3, 3}));
  const Tensor all = to_floats(data.images());
  for (int64_t i = 0; i < 18; ++i) {
    EXPECT_EQ(batch.f32()[i], all.f32()[4 * 18 + i]);
    EXPECT_EQ(batch.f32()[18 + i], all.f32()[i]);
  }
}

TEST(DatasetTest, FlippingMirrorsPixelsNotChannels) {
  const Dataset data = numbered(2, 2, 3, 4);
  const Tensor plain = data.batch({{1, 1}, {0, 0}});
  const Tensor flipped = data.batch({{1, 1}, {0, 1}});
  for (int64_t y = 0; y < 2; ++y) {
    for (int64_t x = 0; x < 3; ++x) {
      for (int64_t c = 0; c < 4; ++c) {
        EXPECT_EQ(flipped.f32()[24 + (y * 3 + x) * 4 + c], plain.f32()[(y * 3 + 2 - x) * 4 + c]);
        EXPECT_EQ(flipped.f32()[(y * 3 + x) * 4 + c], plain.f32()[(y * 3 + x) * 4 + c]);
      }
    }
  }
}

TEST(DatasetTest, RejectsWhatIsNoDataSet) {
  EXPECT_THROW(Dataset(Tensor(Shape{2, 4, 4, 3}), "floats"), Error);
  EXPECT_THROW(Dataset(Tensor(Shape{2, 4, 4, 2}, DType::kUInt8), "two channels"), Error);
  EXPECT_THROW(Dataset(Tensor(Shape{0, 4, 4, 3}, DType::kUInt8), "none"), Error);
  EXPECT_THROW(numbered(2, 2, 2, 1).batch({{2}, {}}), Error);
  EXPECT_THROW(BatchSampler({.images = 0}), UsageError);
  EXPECT_THROW(BatchSampler({.images = 3, .batch = 0}), UsageError);
}

TEST(BatchSamplerTest, EveryEpochIsAFreshPermutation) {
  // 8 does not divide 37: batches cross the borders of epochs.
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
  const SamplerOptions options{.images = 10, .batch = 4, .seed = 5, .flip = true};
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
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 150);  // five sigma
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

}  // namespace
}  // namespace ddpm
