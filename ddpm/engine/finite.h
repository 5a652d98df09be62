// Finds NaN and infinity. Weights contain them after damage or if a training diverged, and such
// weights then give pictures that contain them.
#pragma once

#include <optional>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The first NaN or infinity of a float32 tensor. Nothing if all values are finite, and for tensors
// on Device::kDry.
std::optional<float> find_not_finite(const Tensor& values);

}  // namespace ddpm
