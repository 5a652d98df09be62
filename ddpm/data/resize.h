// Scaling of pictures that are in memory.
#pragma once

#include "ddpm/data/pixels.h"

namespace ddpm {

// A picture [H, W, C] scaled evenly, never stretched, until it just covers the size, then cut to
// its centre: [size.height, size.width, C]. Lanczos (3 lobes) when shrinking, Catmull-Rom when
// enlarging, with premultiplied alpha. A picture of that size already comes back as it is.
Tensor fit_image(const Tensor& image, ImageSize size);

}  // namespace ddpm
