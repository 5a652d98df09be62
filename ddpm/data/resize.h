// Scaling of pictures that are in memory.
#pragma once

#include "ddpm/data/pixels.h"

namespace ddpm {

// A picture [H, W, C] scaled by the same factor in both directions until it just covers the size,
// then cut to its centre: [size.height, size.width, C]. The filter is Lanczos (3 lobes) when
// shrinking and Catmull-Rom when enlarging, with premultiplied alpha. A picture that has the size
// already comes back as it is.
Tensor fit_image(const Tensor& image, ImageSize size);

}  // namespace ddpm
