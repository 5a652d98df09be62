// Decodes the pictures of coming batches on threads of its own. Private to data.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// All functions are thread-safe.
class DecodeAhead {
 public:
  // Decodes picture plan.indices[k] and writes its bytes. Called on several threads at once.
  using Decode = std::function<void(const BatchPlan& plan, int64_t k, uint8_t* out)>;

  struct Limits {
    int threads = 1;
    // The most bytes of all batches that are decoded ahead. One batch is always decoded ahead.
    int64_t bytes = 0;
  };

  // picture_bytes: the bytes of one decoded picture.
  DecodeAhead(int64_t picture_bytes, Decode decode, const Limits& limits);
  // Waits for the pictures that are being decoded, and decodes no others.
  ~DecodeAhead();
  DecodeAhead(const DecodeAhead&) = delete;
  DecodeAhead& operator=(const DecodeAhead&) = delete;

  // The batches that will be taken soon, the next one first. They replace those that were expected
  // before. As many are decoded as the limit allows.
  void expect(std::span<const BatchPlan> next);

  // The bytes of the pictures of a plan in its order, [B, picture_bytes]. A batch that was not
  // expected is decoded now. If pictures cannot be decoded, throws the error of the first of them.
  Tensor take(const BatchPlan& plan);

 private:
  struct Job;
  using SharedJob = std::shared_ptr<Job>;

  SharedJob new_job(const BatchPlan& plan) const;
  SharedJob find(const BatchPlan& plan) const;
  // Decodes picture k, with the lock released meanwhile.
  void decode(std::unique_lock<std::mutex>& lock, const SharedJob& job, int64_t k);
  void work();

  const int64_t picture_bytes_;
  const Decode decode_;
  const Limits limits_;
  std::mutex mutex_;
  std::condition_variable work_, done_;
  bool stopped_ = false;
  // In the order in which they are decoded.
  std::deque<SharedJob> jobs_;
  std::vector<std::thread> threads_;
};

}  // namespace ddpm
