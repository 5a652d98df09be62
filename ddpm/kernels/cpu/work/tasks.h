// How the work of a kernel is cut into tasks that threads share, and scratch memory for them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

namespace ddpm::cpu {

// parallel_tasks: run(task) once for every task in [0, count). Neighbouring tasks mostly run on the
// same thread. So number them in the same way in all loops over the same data: by images, then
// rows, then channels. Serial inside a parallel region. A result must not depend on which thread
// ran a task. Exceptions reach the caller.
void for_each_task(int64_t count, const std::function<void(int64_t task)>& run);

// The same, but on this thread alone where all tasks together take fewer than kSerialWork
// multiply-adds or similar steps. Waking and joining threads takes some microseconds, and far more
// on a busy machine.
inline constexpr int64_t kSerialWork = 1 << 19;
inline void for_each_task(int64_t count, int64_t work,
                          const std::function<void(int64_t task)>& run) {
  if (work >= kSerialWork) return for_each_task(count, run);
  for (int64_t task = 0; task < count; ++task) run(task);
}

// The smallest number of tasks, `count` or more, that gives all threads the same number.
int64_t even_tasks(int64_t count);

// total[i] = sum over parts, in order, of partial[part * stride + i], i < count.
void add_parts(const float* partial, int64_t parts, int64_t stride, int64_t count, float* total);

void* allocate_scratch(int64_t bytes);
void release_scratch(void* block, int64_t bytes) noexcept;

// Uninitialised memory for `count` plain values, from the caching allocator, 64-byte aligned.
template <class T = float>
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : bytes_(std::max<int64_t>(count * static_cast<int64_t>(sizeof(T)), 1)),
        block_(allocate_scratch(bytes_)) {}
  ~Scratch() { release_scratch(block_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return static_cast<T*>(block_); }
  const T* data() const { return static_cast<const T*>(block_); }

 private:
  int64_t bytes_;
  void* block_;
};

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Piece `index` of [0, n) cut into `pieces` parts that differ by at most one.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};
inline Range piece(int64_t n, int64_t pieces, int64_t index) {
  return {n * index / pieces, n * (index + 1) / pieces};
}

}  // namespace ddpm::cpu
