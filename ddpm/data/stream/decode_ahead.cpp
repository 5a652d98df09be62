// A thread takes the next picture of the earliest batch that has one left. The thread that waits
// for a batch decodes pictures of it too, so a batch is complete even without other threads.
#include "ddpm/data/stream/decode_ahead.h"

#include <algorithm>
#include <system_error>

#include "ddpm/base/error.h"

namespace ddpm {

// The mutex guards all members but the bytes.
struct DecodeAhead::Job {
  BatchPlan plan;
  Tensor bytes;  // [B, picture_bytes]
  int64_t count = 0;
  // The pictures that a thread has taken, and those that are done.
  int64_t taken = 0, done = 0;
  // The first picture that could not be decoded, and why.
  int64_t failed = -1;
  std::exception_ptr error;
};

DecodeAhead::DecodeAhead(int64_t picture_bytes, Decode decode, const Limits& limits)
    : picture_bytes_(picture_bytes), decode_(std::move(decode)), limits_(limits) {
  try {
    while (static_cast<int>(threads_.size()) < limits_.threads)
      threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // The system has no more threads. take() does without them.
  }
}

DecodeAhead::~DecodeAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

DecodeAhead::SharedJob DecodeAhead::new_job(const BatchPlan& plan) const {
  auto job = std::make_shared<Job>();
  job->plan = plan;
  job->count = static_cast<int64_t>(plan.indices.size());
  job->bytes = Tensor({job->count, picture_bytes_}, DType::kUInt8);
  return job;
}

DecodeAhead::SharedJob DecodeAhead::find(const BatchPlan& plan) const {
  const auto found = std::find_if(jobs_.begin(), jobs_.end(),
                                  [&](const SharedJob& job) { return job->plan == plan; });
  return found == jobs_.end() ? nullptr : *found;
}

void DecodeAhead::expect(std::span<const BatchPlan> next) {
  {
    const std::lock_guard lock(mutex_);
    std::deque<SharedJob> jobs;
    int64_t bytes = 0;
    for (const BatchPlan& plan : next) {
      bytes += static_cast<int64_t>(plan.indices.size()) * picture_bytes_;
      if (!jobs.empty() && bytes > limits_.bytes) break;
      SharedJob job = find(plan);
      jobs.push_back(job ? std::move(job) : new_job(plan));
    }
    jobs_ = std::move(jobs);
  }
  work_.notify_all();
}

void DecodeAhead::decode(std::unique_lock<std::mutex>& lock, const SharedJob& job, int64_t k) {
  lock.unlock();
  std::exception_ptr error;
  try {
    decode_(job->plan, k, job->bytes.u8() + k * picture_bytes_);
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  if (error && (job->failed < 0 || k < job->failed)) {
    job->failed = k;
    job->error = error;
  }
  if (++job->done == job->count) done_.notify_all();
}

void DecodeAhead::work() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    const auto open = std::find_if(jobs_.begin(), jobs_.end(),
                                   [](const SharedJob& job) { return job->taken < job->count; });
    if (open == jobs_.end()) {
      work_.wait(lock);
      continue;
    }
    const SharedJob job = *open;
    decode(lock, job, job->taken++);
  }
}

Tensor DecodeAhead::take(const BatchPlan& plan) {
  std::unique_lock lock(mutex_);
  SharedJob job = find(plan);
  if (!job) {
    job = new_job(plan);
    jobs_.push_front(job);
    work_.notify_all();
  }
  while (job->taken < job->count) decode(lock, job, job->taken++);
  done_.wait(lock, [&] { return job->done == job->count; });
  std::erase(jobs_, job);
  if (job->error) std::rethrow_exception(job->error);
  return job->bytes;
}

}  // namespace ddpm
