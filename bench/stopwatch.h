// Time since its making: wall time, or the calling thread's own, which is what to look at on one
// thread of a machine that others use too. That clock counts where a run is too long to fit between
// two of the others' turns; for shorter ones the wall's minimum is the better measure.
#pragma once

#include <chrono>
#include <ctime>

namespace ddpm::bench {

class Stopwatch {
 public:
  explicit Stopwatch(bool cpu_time = false) : cpu_time_(cpu_time) {}
  double seconds() const {
    if (cpu_time_) {
      const double used = thread_time() - thread_start_;
      if (used > kTimeSlice) return used;
    }
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kTimeSlice = 1e-3;
  static double thread_time() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  bool cpu_time_;
  double thread_start_ = thread_time();
  Clock::time_point start_ = Clock::now();
};

}  // namespace ddpm::bench
