// NaN and infinity: what damage, or a training that diverged, leaves in weights, and such weights
// in pictures.
#pragma once

#include <optional>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The first NaN or infinity of a float32 tensor; nothing where all values are finite, and on
// Device::kDry.
std::optional<float> find_not_finite(const Tensor& values);

}  // namespace ddpm
