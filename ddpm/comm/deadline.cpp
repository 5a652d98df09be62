#include "ddpm/comm/deadline.h"

#include <utility>

namespace ddpm {

Deadline::Deadline(std::chrono::milliseconds time, std::function<void()> late)
    : thread_([this, time, late = std::move(late)] {
        std::unique_lock lock(mutex_);
        const auto end = std::chrono::steady_clock::now() + time;
        if (changed_.wait_until(lock, end, [this] { return met_; })) return;
        lock.unlock();
        late();
      }) {}

Deadline::~Deadline() {
  {
    const std::scoped_lock lock(mutex_);
    met_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

}  // namespace ddpm
