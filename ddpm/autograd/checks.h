// Helpers that the differentiable operations share: they allocate outputs, and check shapes with
// errors that name the operation.
#pragma once

#include <fmt/core.h>

#include <string_view>

#include "ddpm/base/error.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// A tensor with the shape, type and device of another one.
inline Tensor like(const Tensor& model) {
  return Tensor(model.shape(), model.dtype(), model.device());
}

// A tensor with the type and device of another one.
inline Tensor beside(const Tensor& model, Shape shape) {
  return Tensor(shape, model.dtype(), model.device());
}

inline void check_rank(std::string_view where, std::string_view what, const Shape& shape,
                       int rank) {
  if (shape.rank() != rank)
    fail(where, fmt::format("{} must have {} axes but is {}", what, rank, shape.str()));
}

inline void check_shape(std::string_view where, std::string_view what, const Shape& shape,
                        const Shape& wanted) {
  if (shape != wanted)
    fail(where, fmt::format("{} must be {} but is {}", what, wanted.str(), shape.str()));
}

}  // namespace ddpm
