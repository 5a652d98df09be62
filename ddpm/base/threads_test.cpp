#include "ddpm/base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

class Threads : public ::testing::TestWithParam<int> {
 protected:
  Threads() : before_(num_threads()) { set_num_threads(GetParam()); }
  ~Threads() override { set_num_threads(before_); }
  int before_;
};

INSTANTIATE_TEST_SUITE_P(Counts, Threads, ::testing::Values(1, 2, 3, 7));

TEST_P(Threads, EveryTaskRunsOnce) {
  for (int repeat = 0; repeat < 300; ++repeat) {
    std::vector<std::atomic<int>> visits(static_cast<size_t>(repeat));
    parallel_tasks(repeat, [&](int64_t i) { ++visits[static_cast<size_t>(i)]; });
    for (const auto& count : visits) ASSERT_EQ(count, 1) << repeat;
  }
}

TEST_P(Threads, EachBeginsWithItsShare) {
  const int64_t threads = GetParam(), count = 5 * threads;
  std::vector<std::atomic<bool>> begun(static_cast<size_t>(count));
  const auto wait_for = [&](int64_t i) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!begun[static_cast<size_t>(i)] && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
  };
  // The first task of each share waits until the first tasks of the other shares have begun.
  parallel_tasks(count, [&](int64_t i) {
    begun[static_cast<size_t>(i)] = true;
    if (i % 5 != 0) return;
    for (int64_t share = 0; share < threads; ++share) {
      wait_for(5 * share);
      EXPECT_TRUE(begun[static_cast<size_t>(5 * share)]) << share << " while " << i;
    }
  });
}

TEST_P(Threads, RangesCoverEverythingOnce) {
  for (int64_t n : {0, 1, 2, 3, 7, 1000}) {
    std::vector<int> visits(static_cast<size_t>(n));
    parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    EXPECT_EQ(visits, std::vector<int>(static_cast<size_t>(n), 1)) << n;
  }
}

TEST_P(Threads, SmallLoopsStayWhole) {
  std::atomic<int> calls = 0;
  parallel_for(100, 100, [&](int64_t, int64_t) { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST_P(Threads, NestedLoopsRun) {
  std::atomic<int> visits = 0;
  parallel_tasks(8, [&](int64_t) { parallel_tasks(8, [&](int64_t) { ++visits; }); });
  EXPECT_EQ(visits, 64);
}

TEST_P(Threads, SeveralApplicationThreadsMayCall) {
  std::atomic<int> visits = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat) parallel_tasks(10, [&](int64_t) { ++visits; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(visits, 4 * 50 * 10);
}

TEST_P(Threads, AnExceptionIsRethrownAndThePoolGoesOn) {
  std::atomic<int> visits = 0;
  EXPECT_THROW(parallel_tasks(100,
                              [&](int64_t i) {
                                ++visits;
                                if (i % 10 == 3) fail("test", "on purpose");
                              }),
               Error);
  EXPECT_GT(visits, 0);
  visits = 0;
  parallel_tasks(100, [&](int64_t) { ++visits; });
  EXPECT_EQ(visits, 100);
}

TEST(ThreadCount, RefusesNone) { EXPECT_THROW(set_num_threads(0), UsageError); }

}  // namespace
}  // namespace ddpm
