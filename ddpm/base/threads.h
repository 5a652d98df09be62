// Threads: one process-wide count, one pool. A loop waits for the tasks that were begun and never
// for a thread that has not woken yet, so a busy machine slows a loop down by what it takes away,
// not by the scheduler's time slices.
#pragma once

#include <cstdint>
#include <functional>

namespace ddpm {

// Threads used by parallel loops, the caller's included: all processors this process may run on,
// unless OMP_NUM_THREADS or set_num_threads() said otherwise.
int num_threads();
// Throws UsageError for count < 1.
void set_num_threads(int count);

// Calls run(task) once for every task in [0, count). Each thread, the caller's first among them,
// takes the tasks of its own share, a contiguous one and the same for the same count, then what
// others have left of theirs. Loops that cut a map in the same order so find what a thread wrote
// before in the caches next to it. Tasks must not depend on which thread runs them. Calls from
// inside a task, or while another thread of the application is in a parallel loop, run serially.
// The first exception of a task is rethrown here once all others are done.
void parallel_tasks(int64_t count, const std::function<void(int64_t task)>& run);

// Calls body(begin, end) on disjoint ranges that cover [0, n), at most one range per thread and
// each of at least `grain` (but for one).
void parallel_for(int64_t n, int64_t grain,
                  const std::function<void(int64_t begin, int64_t end)>& body);

}  // namespace ddpm
