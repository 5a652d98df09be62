// Nearest neighbours in the space of features, by Euclidean distance.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct Neighbours {
  // Of each query.
  int64_t k = 0;
  // [N, k]: rows of the base, nearest first. Of equal distances the lower row comes first.
  std::vector<int64_t> indices;
  std::vector<double> distances;

  int64_t index(int64_t query, int64_t place) const {
    return indices[static_cast<size_t>(query * k + place)];
  }
  double distance(int64_t query, int64_t place) const {
    return distances[static_cast<size_t>(query * k + place)];
  }
};

// The k nearest rows of base [M, D] for each row of queries [N, D]. Distances are summed in double
// from the features themselves, so that equal vectors have distance 0. Throws Error unless 1 <= k
// <= M and the widths are equal.
Neighbours nearest(const Tensor& queries, const Tensor& base, int64_t k);
// The same among the rows of one set [N, D]: no row is its own neighbour, but an equal one may be.
// Throws Error unless 1 <= k < N.
Neighbours nearest_others(const Tensor& set, int64_t k);

// Both sets moved so that the mean of `base` is 0, which changes no distance. Squared distances
// from products of float32 then lose fewer digits.
struct CentredSets {
  CentredSets(const Tensor& all_queries, const Tensor& all_base);
  Tensor queries, base;
  // As they were given.
  Tensor given_queries, given_base;
  // The squared lengths of the moved vectors.
  std::vector<double> query_norms, base_norms;

  // The squared distance of row i of the queries and row j of the base, if their product is known.
  double approximate(int64_t i, int64_t j, float product) const {
    return query_norms[static_cast<size_t>(i)] + base_norms[static_cast<size_t>(j)] -
           2 * double{product};
  }
  // Whether that distance is at most `radius`. Where rounding might decide, the distance is
  // computed again in double.
  bool within(int64_t i, int64_t j, float product, double radius) const;
};

}  // namespace ddpm
