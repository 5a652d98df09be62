#include "ddpm/parallel/shards.h"

#include <algorithm>

namespace ddpm {

std::vector<int> owners_of(const std::vector<int64_t>& elements, int ranks) {
  std::vector<int> owners(elements.size());
  std::vector<int64_t> load(static_cast<size_t>(ranks));
  for (size_t i = elements.size(); i-- > 0;) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += elements[i];
    owners[i] = static_cast<int>(least - load.begin());
  }
  return owners;
}

Range part_of_rank(int64_t count, int rank, int ranks) {
  return {.begin = count * rank / ranks, .end = count * (rank + 1) / ranks};
}

}  // namespace ddpm
