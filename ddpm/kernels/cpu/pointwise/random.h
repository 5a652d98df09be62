// Normal random numbers.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

// Row n of x [images, size] becomes standard normal numbers: Philox(seeds[n], stream) at positions
// 0, 1, ... Uses the threads of the pool; the numbers do not depend on how many they are.
void fill_normal(const uint64_t* seeds, uint64_t stream, int64_t images, int64_t size, float* x);

}  // namespace ddpm::cpu
