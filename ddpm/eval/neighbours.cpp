// Matrix products give approximate distances to all rows; a heap for each query keeps the nearest.
// A few more than k are kept, because the exact distances may have another order.
#include "ddpm/eval/neighbours.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/eval/products.h"

namespace ddpm {
namespace {

constexpr int64_t kSpare = 4;

using Candidate = std::pair<double, int64_t>;  // squared distance, row

std::vector<double> mean_of(const Tensor& x) {
  const int64_t width = x.size(1);
  std::vector<double> mean(static_cast<size_t>(width));
  const float* row = x.f32();
  for (int64_t n = 0; n < x.size(0); ++n, row += width) {
    for (int64_t d = 0; d < width; ++d) mean[static_cast<size_t>(d)] += row[d];
  }
  for (double& value : mean) value /= static_cast<double>(x.size(0));
  return mean;
}

Tensor moved(const Tensor& x, const std::vector<double>& mean) {
  Tensor out(x.shape());
  const int64_t width = x.size(1);
  const float* from = x.f32();
  float* to = out.f32();
  for (int64_t i = 0; i < x.elements(); ++i)
    to[i] = static_cast<float>(from[i] - mean[static_cast<size_t>(i % width)]);
  return out;
}

// Keeps the `most` smallest candidates, the largest of them first.
void offer(std::vector<Candidate>& heap, size_t most, Candidate candidate) {
  if (heap.size() == most) {
    if (candidate >= heap.front()) return;
    std::pop_heap(heap.begin(), heap.end());
    heap.back() = candidate;
  } else {
    heap.push_back(candidate);
  }
  std::push_heap(heap.begin(), heap.end());
}

Neighbours find(const Tensor& queries, const Tensor& base, int64_t k, bool others) {
  const int64_t most = base.size(0) - (others ? 1 : 0);
  if (k < 1 || k > most) {
    fail("eval", fmt::format("{} nearest neighbours among {} pictures; choose 1 to {}", k,
                             base.size(0), most));
  }
  const CentredSets sets(queries, base);
  const auto kept = static_cast<size_t>(std::min(k + kSpare, most));
  std::vector<std::vector<Candidate>> heaps(static_cast<size_t>(queries.size(0)));
  visit_products(sets.queries, sets.base,
                 [&](int64_t row, int64_t first, std::span<const float> products) {
                   std::vector<Candidate>& heap = heaps[static_cast<size_t>(row)];
                   for (size_t j = 0; j < products.size(); ++j) {
                     const int64_t index = first + static_cast<int64_t>(j);
                     if (others && index == row) continue;
                     offer(heap, kept, {sets.approximate(row, index, products[j]), index});
                   }
                 });
  Neighbours result{.k = k};
  result.indices.resize(static_cast<size_t>(queries.size(0) * k));
  result.distances.resize(result.indices.size());
  parallel_for(queries.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::vector<Candidate>& heap = heaps[static_cast<size_t>(row)];
      for (Candidate& each : heap) each.first = squared_distance(queries, row, base, each.second);
      std::sort(heap.begin(), heap.end());
      for (int64_t place = 0; place < k; ++place) {
        const Candidate& each = heap[static_cast<size_t>(place)];
        result.distances[static_cast<size_t>(row * k + place)] = std::sqrt(each.first);
        result.indices[static_cast<size_t>(row * k + place)] = each.second;
      }
    }
  });
  return result;
}

}  // namespace

CentredSets::CentredSets(const Tensor& all_queries, const Tensor& all_base)
    : given_queries(all_queries), given_base(all_base) {
  check_feature_sets("neighbours", given_queries, given_base, 1);
  const std::vector<double> mean = mean_of(given_base);
  queries = moved(given_queries, mean);
  base = given_queries.identity() == given_base.identity() ? queries : moved(given_base, mean);
  query_norms = squared_norms(queries);
  base_norms = squared_norms(base);
}

bool CentredSets::within(int64_t i, int64_t j, float product, double radius) const {
  // Far more than the rounding of products of float32 and of moving the sets.
  constexpr double kUncertain = 1e-5;
  const double square = approximate(i, j, product);
  const double slack =
      kUncertain * (query_norms[static_cast<size_t>(i)] + base_norms[static_cast<size_t>(j)]);
  if (std::abs(square - radius * radius) > slack) return square < radius * radius;
  return std::sqrt(squared_distance(given_queries, i, given_base, j)) <= radius;
}

Neighbours nearest(const Tensor& queries, const Tensor& base, int64_t k) {
  return find(queries, base, k, false);
}

Neighbours nearest_others(const Tensor& set, int64_t k) { return find(set, set, k, true); }

}  // namespace ddpm
