// The time since it was made: wall time, or the processor time of the calling thread. The latter is
// for one thread on a machine that other programs use too, where a run is so long that they
// interrupt it. For shorter runs the minimum of wall time is the better measure.
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
