// What operations tell about themselves: the size of their work for people, and its arithmetic.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/tensor/tensor.h"

namespace ddpm::op {

// "2x8x8x32"
std::string extents(const Tensor& tensor);
// "3x3 32->64 on 2x8x8", from the weights or their gradient, and the input or its gradient.
std::string convolution(const Tensor& w, const Tensor& x);
// "32->64 on 2", from the same.
std::string product(const Tensor& w, const Tensor& x);

// Floating-point operations of `rows` rows times the matrix w, and of the convolution that makes y
// of w; a multiply-add is two.
double product_flops(int64_t rows, const Tensor& w);
double convolution_flops(const Tensor& w, const Tensor& y);

// The size of an operation's work for people: its shape() or the extents of its x.
template <class Operation>
std::string shape_of(const Operation& operation) {
  if constexpr (requires { operation.shape(); }) {
    return operation.shape();
  } else {
    return extents(operation.x);
  }
}

// Its label() or kName.
template <class Operation>
std::string label_of(const Operation& operation) {
  if constexpr (requires { operation.label(); }) {
    return operation.label();
  } else {
    return Operation::kName;
  }
}

// Its flops() or none.
template <class Operation>
double flops_of(const Operation& operation) {
  if constexpr (requires { operation.flops(); }) {
    return operation.flops();
  } else {
    return 0;
  }
}

}  // namespace ddpm::op
