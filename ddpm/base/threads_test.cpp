#include "ddpm/base/threads.h"

#include <gtest/gtest.h>

#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

TEST(ParallelFor, VisitsEveryIndexOnce) {
  for (int64_t n : {0, 1, 2, 3, 7, 1000}) {
    std::vector<int> visits(n);
    parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[i];
    });
    EXPECT_EQ(visits, std::vector<int>(n, 1)) << n;
  }
}

TEST(ParallelFor, NestedLoopsRun) {
  std::vector<int> visits(64);
  parallel_for(8, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      parallel_for(8, 1, [&](int64_t b, int64_t e) {
        for (int64_t j = b; j < e; ++j) ++visits[i * 8 + j];
      });
    }
  });
  EXPECT_EQ(visits, std::vector<int>(64, 1));
}

TEST(ParallelFor, RethrowsAnException) {
  EXPECT_THROW(parallel_for(100, 1, [](int64_t, int64_t) { fail("test", "on purpose"); }), Error);
}

TEST(Threads, RefusesNone) { EXPECT_THROW(set_num_threads(0), UsageError); }

}  // namespace
}  // namespace ddpm
