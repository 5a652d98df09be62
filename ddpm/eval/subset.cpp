#include "ddpm/eval/subset.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "ddpm/base/error.h"
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

Tensor chosen_rows(const Tensor& x, const std::vector<int64_t>& indices) {
  const int64_t width = x.size(1);
  Tensor out({static_cast<int64_t>(indices.size()), width});
  float* to = out.f32();
  for (const int64_t index : indices) {
    DDPM_CHECK(index >= 0 && index < x.size(0));
    std::memcpy(to, x.f32() + index * width, static_cast<size_t>(width) * sizeof(float));
    to += width;
  }
  return out;
}

}  // namespace ddpm
