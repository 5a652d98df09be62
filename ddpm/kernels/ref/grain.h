// How many items of a parallel loop are worth a thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ddpm::ref {

// For items of about `work` multiplications each: waking a thread costs some 10^5 of them, and far
// more on a busy machine.
inline int64_t grain(int64_t work) {
  return std::max<int64_t>(1, 100'000 / std::max<int64_t>(work, 1));
}

}  // namespace ddpm::ref
