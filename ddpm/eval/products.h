// Inner products of all pairs of two sets of vectors, block by block, so that memory stays bounded
// whatever the sizes of the sets.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// Gets the products of row `row` of a with the rows first, first + 1, ... of b.
using ProductVisitor =
    std::function<void(int64_t row, int64_t first, std::span<const float> products)>;

// a: float32 [N, D], b: float32 [M, D]. Calls visit for blocks that cover all pairs once. Calls for
// different rows may come at the same time from several threads; those for one row come in the
// order of `first`. Throws Error if the widths differ.
void visit_products(const Tensor& a, const Tensor& b, const ProductVisitor& visit);

// The squared length of each row of x [N, D], summed in double.
std::vector<double> squared_norms(const Tensor& x);

// The squared distance of row i of a and row j of b, summed in double.
double squared_distance(const Tensor& a, int64_t i, const Tensor& b, int64_t j);

// Throws Error unless both are float32 [N, D] with the same D, and N >= least. `what` names the
// figure in the Error.
void check_feature_sets(const char* what, const Tensor& a, const Tensor& b, int64_t least);

}  // namespace ddpm
