// Brings pictures of any size to the fixed size that a network takes.
#pragma once

#include <cstdint>
#include <string_view>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// Throws Error, naming `where`, unless images are bytes [N, H, W, C] with H, W >= 1 and C = 1, 3 or
// 4.
void check_pictures(std::string_view where, const Tensor& images);

// Bytes [N, H, W, C] -> bytes [N, H, W, 3]. Transparent pixels are composited on white.
Tensor three_channels(const Tensor& images);

// Bytes [N, H, W, C] with sides of at most 16384 -> float32 [N, side, side, 3] in [-1, 1], for a
// side of at least 8. Each
// side is resampled on its own with a triangle filter, whose width is two source pixels or two
// target pixels, whichever is more. All sums are of integers, so the result has the same bits on
// every machine.
Tensor square_pictures(const Tensor& images, int64_t side);

}  // namespace ddpm
