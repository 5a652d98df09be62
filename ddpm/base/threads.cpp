#include "ddpm/base/threads.h"

#include <fmt/core.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

std::atomic<int>& thread_count() {
  static std::atomic<int> count{std::max(1, omp_get_max_threads())};
  return count;
}

}  // namespace

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  if (count < 1 || count > 4096) {
    fail_usage("threads",
               fmt::format("cannot run {} threads; give a number from 1 to 4096", count));
  }
  thread_count().store(count, std::memory_order_relaxed);
}

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  const int64_t pieces = std::min<int64_t>(
      num_threads(), (n + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1));
  if (pieces <= 1 || omp_in_parallel()) {
    body(0, n);
    return;
  }
  std::exception_ptr error;
  std::atomic_flag failed = ATOMIC_FLAG_INIT;
#pragma omp parallel num_threads(static_cast <int>(pieces))
  {
    const int64_t team = omp_get_num_threads(), rank = omp_get_thread_num();
    const int64_t begin = n * rank / team, end = n * (rank + 1) / team;
    try {
      if (begin < end) body(begin, end);
    } catch (...) {
      if (!failed.test_and_set()) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace ddpm
