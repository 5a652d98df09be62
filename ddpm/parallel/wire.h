// Tensors as bytes between ranks. Private to parallel/.
#pragma once

#include <cstddef>
#include <span>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// Writes the elements as float32 or bfloat16, rounded to the nearest, ties to even. An undefined
// tensor gives zeros.
void write_wire(const Tensor& values, std::span<std::byte> to, bool bfloat16);
// From bfloat16.
Tensor read_wire(std::span<const std::byte> from, const Shape& shape);

}  // namespace ddpm
