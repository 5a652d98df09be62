#include "ddpm/eval/manifold.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "ddpm/eval/neighbours.h"
#include "ddpm/eval/products.h"

namespace ddpm {
namespace {

// The distance of each vector to its k-th nearest neighbour in its own set.
std::vector<double> radii(const Tensor& set, int64_t k) {
  const Neighbours neighbours = nearest_others(set, k);
  std::vector<double> result;
  for (int64_t n = 0; n < set.size(0); ++n) result.push_back(neighbours.distance(n, k - 1));
  return result;
}

double mean(const std::vector<int64_t>& counts) {
  const auto sum = static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  return sum / static_cast<double>(counts.size());
}

}  // namespace

ManifoldFigures manifold_figures(const Tensor& real, const Tensor& generated, int64_t k) {
  check_feature_sets("precision and recall", real, generated, k + 1);
  const std::vector<double> of_real = radii(real, k), of_generated = radii(generated, k);
  const auto n = static_cast<size_t>(real.size(0)), m = static_cast<size_t>(generated.size(0));
  // Of each generated vector: the real balls around it.
  std::vector<int64_t> balls(m), inside(m);
  {
    const CentredSets sets(generated, real);
    visit_products(sets.queries, sets.base,
                   [&](int64_t j, int64_t first, std::span<const float> products) {
                     for (size_t p = 0; p < products.size(); ++p) {
                       const int64_t i = first + static_cast<int64_t>(p);
                       balls[static_cast<size_t>(j)] +=
                           sets.within(j, i, products[p], of_real[static_cast<size_t>(i)]);
                     }
                   });
  }
  for (size_t j = 0; j < m; ++j) inside[j] = balls[j] > 0;
  // Of each real vector: whether it lies in a ball of a generated one, and whether one lies in its
  // own.
  std::vector<int64_t> recalled(n), covered(n);
  const CentredSets sets(real, generated);
  visit_products(sets.queries, sets.base,
                 [&](int64_t i, int64_t first, std::span<const float> products) {
                   const auto row = static_cast<size_t>(i);
                   for (size_t p = 0; p < products.size(); ++p) {
                     const int64_t j = first + static_cast<int64_t>(p);
                     const double ball = of_generated[static_cast<size_t>(j)];
                     recalled[row] |= sets.within(i, j, products[p], ball);
                     covered[row] |= sets.within(i, j, products[p], of_real[row]);
                   }
                 });
  return {.precision = mean(inside),
          .recall = mean(recalled),
          .density = mean(balls) / static_cast<double>(k),
          .coverage = mean(covered)};
}

}  // namespace ddpm
