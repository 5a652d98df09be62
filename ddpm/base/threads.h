// Threads: one process-wide count, one parallel loop. OpenMP stands behind it and appears in no
// header.
#pragma once

#include <cstdint>
#include <functional>

namespace ddpm {

// Threads used by parallel loops: all cores unless set_num_threads() or OMP_NUM_THREADS said
// otherwise.
int num_threads();
// Throws UsageError for count < 1.
void set_num_threads(int count);

// Calls body(begin, end) on disjoint ranges that cover [0, n), at most one range per thread, in
// parallel when n > grain. Nested calls run serially. The first exception of a body is rethrown
// here.
void parallel_for(int64_t n, int64_t grain,
                  const std::function<void(int64_t begin, int64_t end)>& body);

}  // namespace ddpm
