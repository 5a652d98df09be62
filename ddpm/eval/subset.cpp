#include "ddpm/eval/subset.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "ddpm/base/philox.h"

namespace ddpm {

// The start of a random permutation.
std::vector<int64_t> random_subset(int64_t count, int64_t wanted, const Philox& random) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  wanted = std::min(wanted, count);
  for (int64_t i = 0; i < wanted; ++i) {
    const uint64_t ahead = random.below(static_cast<uint64_t>(count - i), static_cast<uint64_t>(i));
    std::swap(numbers[static_cast<size_t>(i)], numbers[static_cast<size_t>(i) + ahead]);
  }
  numbers.resize(static_cast<size_t>(wanted));
  return numbers;
}

}  // namespace ddpm
