// For tests of CpuBackend: an operation as a function of the backend, judged against ref, and for
// its bits against other thread counts and against single images of its batch.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ddpm/kernels/cpu/ops/cpu_backend.h"
#include "ddpm/kernels/cpu/simd/simd_test_support.h"
#include "tests/support/compare.h"

namespace ddpm::testing {

struct Output {
  const char* name;
  Tensor tensor;
};
using Operation = std::function<std::vector<Output>(Backend& backend)>;

inline void expect_agrees_with_ref(const Operation& operation, const std::string& what,
                                   double tolerance = test::Tolerance::kOperation) {
  RefBackend ref;
  CpuBackend cpu;
  const std::vector<Output> got = operation(cpu), expected = operation(ref);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_LE(relative_error(got[i].tensor, expected[i].tensor), tolerance)
        << got[i].name << ", " << what;
  }
}

inline void expect_same_bits_for_any_thread_count(const Operation& operation) {
  CpuBackend cpu;
  set_num_threads(1);
  const std::vector<Output> expected = operation(cpu);
  for (int threads : {2, 3}) {
    set_num_threads(threads);
    const std::vector<Output> got = operation(cpu);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_TRUE(same_bits(got[i].tensor, expected[i].tensor))
          << got[i].name << " with " << threads << " threads";
    }
  }
}

// operation(begin, end) on images [begin, end) of its batch; every output has one row per image.
inline void expect_same_bits_for_any_batch(
    int64_t images,
    const std::function<std::vector<Output>(Backend& backend, int64_t begin, int64_t end)>&
        operation) {
  CpuBackend cpu;
  const std::vector<Output> batch = operation(cpu, 0, images);
  for (int64_t n = 0; n < images; ++n) {
    const std::vector<Output> alone = operation(cpu, n, n + 1);
    for (size_t i = 0; i < batch.size(); ++i) {
      EXPECT_TRUE(same_bits(batch[i].tensor.rows(n, n + 1), alone[i].tensor))
          << batch[i].name << " of image " << n;
    }
  }
}

}  // namespace ddpm::testing
