// The linear assignment problem.
#pragma once

#include <cstdint>
#include <vector>

namespace ddpm {

// Assigns each of n rows a column of its own so that the sum of costs [n, n] is least, and returns
// the columns. Shortest augmenting paths (Jonker & Volgenant 1987): O(n^3) time, in double. Where
// several columns are equally near, the search takes the one with the lowest index. So equal costs
// everywhere give row i the column i, and the result depends on the costs alone. Throws Error for a
// cost that is not finite, and if there are not n^2 costs.
std::vector<int64_t> least_cost_assignment(const std::vector<double>& costs, int64_t n);

}  // namespace ddpm
