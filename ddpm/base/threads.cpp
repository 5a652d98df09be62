// Why not OpenMP: its loops end in a barrier that waits for every thread of the team. It waits even
// for a thread that does not run because another program uses its core. If another program takes
// one of two cores, the thousand small loops of a network then run slower than on one thread. Here
// the caller takes tasks like every other thread, and waits only for workers inside the loop.
#include "ddpm/base/threads.h"

#include <fmt/core.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

constexpr int kMostThreads = 4096;

// How many times a worker looks for work before it sleeps. This takes some tens of microseconds,
// which is longer than the serial code between two loops.
constexpr int kSpins = 4000;

thread_local bool inside_a_loop = false;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The tasks [next, end) of one thread.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

// A thread takes address space for its stack and for its own heap, and `ulimit -v` limits address
// space. Threads get at most a quarter of the limit.
int most_workers() {
  constexpr rlim_t kPerThread = rlim_t{72} << 20;
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMostThreads;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur / 4 / kPerThread, kMostThreads));
}

class Pool {
 public:
  // Returns false, without running anything, if another thread is in a loop.
  bool run(int threads, int64_t count, const std::function<void(int64_t)>& task) {
    const std::unique_lock lock(busy_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    start_workers(threads - 1);
    task_ = &task;
    sharers_ = threads;
    error_ = nullptr;
    for (int i = 0; i < threads; ++i) {
      shares_[i].next.store(count * i / threads, std::memory_order_relaxed);
      shares_[i].end = count * (i + 1) / threads;
    }
    open_.store(true);
    generation_.fetch_add(1);
    generation_.notify_all();
    take_tasks(0);
    open_.store(false);
    for (int spins = 0; inside_.load() != 0; ++spins) {
      spins < kSpins ? pause_briefly() : std::this_thread::yield();
    }
    if (error_) std::rethrow_exception(error_);
    return true;
  }

 private:
  void start_workers(int wanted) {
    if (wanted >= static_cast<int>(shares_.size())) shares_ = std::vector<Share>(wanted + 1);
    // If the system allows no more threads, the existing ones run all tasks.
    static const int most = most_workers();
    wanted = std::min(wanted, most);
    for (; workers_ < wanted && !exhausted_; ++workers_) {
      try {
        std::thread([this, index = workers_, seen = generation_.load()] {
          work(index, seen);
        }).detach();
      } catch (const std::system_error&) {
        exhausted_ = true;
        return;
      }
    }
  }

  // Takes first the tasks of the thread's own share, then those left in other shares.
  void take_tasks(int thread) {
    inside_a_loop = true;
    for (int i = 0; i < sharers_; ++i) take_tasks(shares_[(thread + i) % sharers_]);
    inside_a_loop = false;
  }

  void take_tasks(Share& share) {
    for (int64_t i; (i = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) {
      try {
        (*task_)(i);
      } catch (...) {
        const std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
  }

  void work(int index, int seen) {
    for (;;) {
      for (int spins = 0; generation_.load(std::memory_order_relaxed) == seen && spins < kSpins;
           ++spins) {
        pause_briefly();
      }
      generation_.wait(seen);
      seen = generation_.load();
      // The order matters: the worker first adds itself to inside_, then checks whether the loop is
      // open. Once the caller has closed the loop and sees inside_ at 0, no worker can enter it.
      inside_.fetch_add(1);
      if (open_.load() && index + 1 < sharers_) take_tasks(index + 1);
      inside_.fetch_sub(1);
    }
  }

  // Locked by the thread that called the loop.
  std::mutex busy_;
  int workers_ = 0;
  bool exhausted_ = false;
  const std::function<void(int64_t)>* task_ = nullptr;
  // How many threads share the tasks.
  int sharers_ = 0;
  std::vector<Share> shares_;
  alignas(64) std::atomic<int> generation_{0};
  std::atomic<bool> open_{false};
  // The number of workers that may be using the loop's data.
  alignas(64) std::atomic<int> inside_{0};
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

// Never destroyed, because workers wait in it until the process ends.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

int default_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const int count = std::atoi(text);
    if (count >= 1 && count <= kMostThreads) return count;
  }
  cpu_set_t processors;
  if (sched_getaffinity(0, sizeof processors, &processors) == 0)
    return std::max(1, CPU_COUNT(&processors));
  return std::max(1u, std::thread::hardware_concurrency());
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

}  // namespace

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  if (count < 1 || count > kMostThreads) {
    fail_usage("threads", fmt::format("cannot run {} threads; give a number from 1 to {}", count,
                                      kMostThreads));
  }
  thread_count().store(count, std::memory_order_relaxed);
}

void parallel_tasks(int64_t count, const std::function<void(int64_t)>& run) {
  const int threads = static_cast<int>(std::min<int64_t>(num_threads(), count));
  if (threads > 1 && !inside_a_loop && pool().run(threads, count, run)) return;
  for (int64_t i = 0; i < count; ++i) run(i);
}

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t pieces = std::min<int64_t>(num_threads(), (n + grain - 1) / grain);
  if (pieces <= 1) return body(0, n);
  parallel_tasks(pieces, [&](int64_t i) { body(n * i / pieces, n * (i + 1) / pieces); });
}

}  // namespace ddpm
