// Parallel loops on one pool of threads for the whole process. A loop waits for tasks that threads
// have begun, but never for a thread that has not woken up yet. On a busy machine a loop is
// therefore slowed only by the processor time that other programs take.
#pragma once

#include <cstdint>
#include <functional>

namespace ddpm {

// The number of threads that parallel loops use, including the calling thread. By default this is
// the number of processors that this process may run on. OMP_NUM_THREADS and set_num_threads()
// change it.
int num_threads();
// Throws UsageError for count < 1.
void set_num_threads(int count);

// Calls run(task) once for every task in [0, count). Each thread has a contiguous share of the
// tasks, which is the same for the same count. A thread first takes the tasks of its own share,
// then tasks left in other shares. Loops that divide a tensor in the same order therefore find in
// a core's caches what its thread wrote in the previous loop. Tasks must not depend on which thread
// runs them. A call from inside a task, or while another thread of the application is in a parallel
// loop, runs serially. If tasks throw, the first exception is rethrown after all other tasks ran.
void parallel_tasks(int64_t count, const std::function<void(int64_t task)>& run);

// Calls body(begin, end) on disjoint ranges that cover [0, n). There is at most one range per
// thread, and all but one have at least `grain` elements.
void parallel_for(int64_t n, int64_t grain,
                  const std::function<void(int64_t begin, int64_t end)>& body);

}  // namespace ddpm
