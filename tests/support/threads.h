// The number of threads of a test.
#pragma once

#include "ddpm/base/threads.h"

namespace ddpm::test {

// At its end, parallel loops use as many threads again as before it, also if the test fails within.
class ThreadsScope {
 public:
  ThreadsScope() = default;
  explicit ThreadsScope(int count) { set_num_threads(count); }
  ~ThreadsScope() { set_num_threads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_ = num_threads();
};

}  // namespace ddpm::test
