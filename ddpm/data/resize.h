// Scales pictures in memory.
#pragma once

#include "ddpm/data/pixels.h"

namespace ddpm {

// Scales a picture [H, W, C] by the same factor in both directions until it just covers the size,
// then cuts it to its centre: [size.height, size.width, C]. The filter is Lanczos (3 lobes) when
// shrinking and Catmull-Rom when enlarging, with premultiplied alpha. A picture that already has
// the size is returned unchanged.
Tensor fit_image(const Tensor& image, ImageSize size);

// A picture [H, W, C] of 1/factor the sides, each pixel the mean of factor x factor (colours
// weighted by alpha), rounded to the nearest byte: [H / factor, W / factor, C]. Throws Error if
// the factor does not divide both sides.
Tensor shrink_image(const Tensor& image, int64_t factor);

}  // namespace ddpm
