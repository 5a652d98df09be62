// Random choices without repetition.
#pragma once

#include <cstdint>
#include <vector>

namespace ddpm {

class Philox;

// `wanted` of the numbers 0 ... count - 1, in random order, by the numbers at the positions 0, 1,
// ... of a stream. All of them if wanted >= count.
std::vector<int64_t> random_subset(int64_t count, int64_t wanted, const Philox& random);

}  // namespace ddpm
