// Parallel loops on one pool of threads for the whole process. A loop waits for tasks that threads
// have begun, but never for a thread that has not woken up yet. On a busy machine a loop is
// therefore slower only by the processor time that other programs take.
#pragma once

#include <cstdint>
#include <functional>

namespace ddpm {

// The number of threads that parallel loops use, including the caller's: as many as there are
// processors that this process may run on, unless OMP_NUM_THREADS or set_num_threads() set another.
int num_threads();
// Throws UsageError for count < 1.
void set_num_threads(int count);

// Calls run(task) once for every task in [0, count). Each thread first takes the tasks of its own
// share, then what is left of the shares of others. A share is contiguous, and the same for the
// same count: loops that cut a map in the same order then find in a core's caches what its thread
// wrote in the loop before. Tasks must not depend on which thread runs them. A call from inside a
// task, or while another thread of the application is in a parallel loop, runs serially. The first
// exception of a task is rethrown once all other tasks have run.
void parallel_tasks(int64_t count, const std::function<void(int64_t task)>& run);

// Calls body(begin, end) on disjoint ranges that cover [0, n). There is at most one range per
// thread, and all but one have at least `grain` elements.
void parallel_for(int64_t n, int64_t grain,
                  const std::function<void(int64_t begin, int64_t end)>& body);

}  // namespace ddpm
