#include "ddpm/diffusion/training/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"

namespace ddpm {
namespace {

using Columns = std::vector<int64_t>;

double cost_of(const std::vector<double>& costs, const Columns& columns) {
  double sum = 0;
  for (size_t i = 0; i < columns.size(); ++i)
    sum += costs[i * columns.size() + static_cast<size_t>(columns[i])];
  return sum;
}

bool is_permutation(Columns columns) {
  std::sort(columns.begin(), columns.end());
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// The least cost of all permutations.
double least_by_trying(const std::vector<double>& costs, int64_t n) {
  Columns columns(static_cast<size_t>(n));
  std::iota(columns.begin(), columns.end(), int64_t{0});
  double least = std::numeric_limits<double>::infinity();
  do {
    least = std::min(least, cost_of(costs, columns));
  } while (std::next_permutation(columns.begin(), columns.end()));
  return least;
}

std::vector<double> random_costs(int64_t n, uint64_t seed, bool whole) {
  const Philox random(seed);
  std::vector<double> costs(static_cast<size_t>(n * n));
  for (size_t i = 0; i < costs.size(); ++i) {
    costs[i] = whole ? static_cast<double>(random.below(4, i)) : random.uniform(i) * 10 - 5;
  }
  return costs;
}

TEST(Assignment, IsTheBestOfAllPermutations) {
  for (int64_t n = 0; n <= 7; ++n) {
    for (uint64_t seed = 0; seed < 30; ++seed) {
      // Whole numbers of a small range have many ties.
      for (const bool whole : {false, true}) {
        const std::vector<double> costs = random_costs(n, 100 * seed + n, whole);
        const Columns columns = least_cost_assignment(costs, n);
        ASSERT_TRUE(is_permutation(columns));
        ASSERT_NEAR(cost_of(costs, columns), least_by_trying(costs, n), 1e-12) << n << " " << seed;
      }
    }
  }
}

// Potentials u and v with u_i + v_j <= cost_ij prove that no assignment costs less than their sum.
// Here for costs whose best assignment is known: a hidden permutation is cheaper by construction.
TEST(Assignment, FindsAHiddenPermutation) {
  constexpr int64_t kN = 200;
  const Philox random(1);
  std::vector<double> costs = random_costs(kN, 2, false);
  Columns hidden(kN);
  std::iota(hidden.begin(), hidden.end(), int64_t{0});
  for (size_t i = kN; i-- > 1;) std::swap(hidden[i], hidden[random.below(i + 1, i)]);
  const std::vector<double> u = random_costs(kN, 3, false), v = random_costs(kN, 4, false);
  for (int64_t i = 0; i < kN; ++i) {
    for (int64_t j = 0; j < kN; ++j) {
      double& cost = costs[i * kN + j];
      cost = 40 * u[i] + 40 * v[j] + (hidden[i] == j ? 0 : 5.001 + cost);
    }
  }
  EXPECT_EQ(least_cost_assignment(costs, kN), hidden);
}

TEST(Assignment, EqualCostsKeepTheOrder) {
  for (const int64_t n : {1, 2, 5, 64}) {
    Columns same(static_cast<size_t>(n));
    std::iota(same.begin(), same.end(), int64_t{0});
    EXPECT_EQ(least_cost_assignment(std::vector<double>(static_cast<size_t>(n * n), 2.5), n), same);
  }
}

TEST(Assignment, RefusesWhatIsNotASquareOfFiniteNumbers) {
  EXPECT_THROW(least_cost_assignment({1, 2, 3}, 2), Error);
  EXPECT_THROW(least_cost_assignment({std::numeric_limits<double>::quiet_NaN()}, 1), Error);
  EXPECT_THROW(least_cost_assignment({std::numeric_limits<double>::infinity()}, 1), Error);
}

}  // namespace
}  // namespace ddpm
