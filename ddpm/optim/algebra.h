// Small helpers for optimizers that work on matrices, by operations of the backend.
#pragma once

#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

struct Term {
  double factor;
  const Tensor& tensor;
};

// y = the sum of factor * tensor: one to three terms of one shape. y may be one of the tensors.
void combine(const std::vector<Term>& terms, Tensor& y);

// ||x|| over all elements, summed in double. 0 for a tensor on a device without values.
double norm_of(const Tensor& x);

// Products of matrices in row-major order.
Tensor matrix_product(const Tensor& a, const Tensor& b);           // a b
Tensor product_with_transposed(const Tensor& a, const Tensor& b);  // a b^T
Tensor product_of_transposed(const Tensor& a, const Tensor& b);    // a^T b

}  // namespace ddpm
