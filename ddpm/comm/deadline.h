// Does something if a part of the program takes too long, from a thread of its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace ddpm {

// Calls `late` once, in another thread, if the object still exists after `time`.
class Deadline {
 public:
  Deadline(std::chrono::milliseconds time, std::function<void()> late);
  // Waits for `late` if it is running.
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool met_ = false;
  std::thread thread_;
};

}  // namespace ddpm
