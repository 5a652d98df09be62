// Tests that batches which are decoded ahead hold what their plans say, whatever was expected.
#include "ddpm/data/stream/decode_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <numeric>
#include <string>
#include <thread>

#include "ddpm/base/error.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::message_of;

BatchPlan plan_of(int64_t first, int64_t count) {
  BatchPlan plan;
  plan.indices.resize(static_cast<size_t>(count));
  std::iota(plan.indices.begin(), plan.indices.end(), first);
  return plan;
}

// Picture i is the byte i. Counts what was decoded.
class DecodeAheadTest : public ::testing::Test {
 protected:
  void decode(const BatchPlan& plan, int64_t k, uint8_t* out) {
    const int64_t index = plan.indices[static_cast<size_t>(k)];
    if (index >= kBad) fail("data", std::to_string(index) + " is damaged");
    *out = static_cast<uint8_t>(index);
    ++decoded_;
  }
  DecodeAhead::Decode decoder() {
    return [this](const BatchPlan& plan, int64_t k, uint8_t* out) { decode(plan, k, out); };
  }
  static std::vector<int64_t> bytes_of(const Tensor& batch) {
    return {batch.u8(), batch.u8() + batch.elements()};
  }
  // Waits until so many pictures are decoded.
  void wait_for(int64_t count) const {
    while (decoded_ < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  static constexpr int64_t kBad = 100;
  std::atomic<int64_t> decoded_ = 0;
};

TEST_F(DecodeAheadTest, BatchesHoldTheirPicturesWithAnyNumberOfThreads) {
  for (const int threads : {0, 1, 3}) {
    DecodeAhead ahead(1, decoder(), {.threads = threads, .bytes = 1 << 20});
    std::vector<BatchPlan> plans;
    for (int64_t s = 0; s < 10; ++s) plans.push_back(plan_of(7 * s, 7));
    for (size_t s = 0; s < plans.size(); ++s) {
      ahead.expect(std::span(plans).subspan(s, std::min<size_t>(3, plans.size() - s)));
      EXPECT_EQ(bytes_of(ahead.take(plans[s])), plans[s].indices) << threads;
    }
  }
}

TEST_F(DecodeAheadTest, BatchesThatNobodyExpectedAreDecodedToo) {
  DecodeAhead ahead(1, decoder(), {.threads = 2, .bytes = 1 << 20});
  const BatchPlan expected = plan_of(0, 4), other = plan_of(40, 5);
  ahead.expect(std::span(&expected, 1));
  EXPECT_EQ(bytes_of(ahead.take(other)), other.indices);
  EXPECT_EQ(bytes_of(ahead.take(expected)), expected.indices);
  EXPECT_EQ(decoded_, 9);
  EXPECT_EQ(ahead.take(plan_of(0, 0)).elements(), 0);
}

TEST_F(DecodeAheadTest, ABatchIsDecodedOnceAndNoMoreThanTheLimit) {
  DecodeAhead ahead(1, decoder(), {.threads = 2, .bytes = 8});
  const std::vector<BatchPlan> plans = {plan_of(0, 4), plan_of(4, 4), plan_of(8, 4)};
  ahead.expect(plans);
  wait_for(8);
  // Those that are expected again keep what was decoded.
  ahead.expect(plans);
  for (int64_t s = 0; s < 2; ++s)
    EXPECT_EQ(bytes_of(ahead.take(plans[static_cast<size_t>(s)])), plan_of(4 * s, 4).indices);
  EXPECT_EQ(decoded_, 8);
}

TEST_F(DecodeAheadTest, OneBatchIsDecodedAheadWhateverItsSize) {
  DecodeAhead ahead(1, decoder(), {.threads = 1, .bytes = 1});
  const std::vector<BatchPlan> plans = {plan_of(0, 4), plan_of(4, 4)};
  ahead.expect(plans);
  wait_for(4);
  EXPECT_EQ(bytes_of(ahead.take(plans[0])), plans[0].indices);
  EXPECT_EQ(decoded_, 4);
}

TEST_F(DecodeAheadTest, TheFirstErrorOfABatchIsThrownAndTheNextBatchIsGood) {
  DecodeAhead ahead(1, decoder(), {.threads = 3, .bytes = 1 << 20});
  const BatchPlan bad{.indices = {1, 105, 2, 103, 104}, .flips = {}}, good = plan_of(0, 3);
  const std::vector<BatchPlan> plans = {bad, good};
  for (int again = 0; again < 20; ++again) {
    ahead.expect(plans);
    EXPECT_EQ(message_of([&] { ahead.take(bad); }), "[data] 105 is damaged");
    EXPECT_EQ(bytes_of(ahead.take(good)), good.indices);
  }
}

TEST_F(DecodeAheadTest, ManyThreadsTakeBatches) {
  DecodeAhead ahead(1, decoder(), {.threads = 2, .bytes = 1 << 20});
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t s = 0; s < 50; ++s) {
        const BatchPlan plan = plan_of((t / 2 + s) % 50, 6), next = plan_of((t + s) % 40, 3);
        ahead.expect(std::span(&next, 1));
        wrong += bytes_of(ahead.take(plan)) != plan.indices;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(DecodeAheadTest, EndsWhileItDecodes) {
  for (int again = 0; again < 50; ++again) {
    DecodeAhead ahead(1, decoder(), {.threads = 2, .bytes = 1 << 20});
    const BatchPlan plan = plan_of(0, 90);
    ahead.expect(std::span(&plan, 1));
  }
}

}  // namespace
}  // namespace ddpm
