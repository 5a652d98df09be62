// What happens to estimates of the image outside [-1, 1]. Private to diffusion.
#pragma once

#include <string>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

// x0: [N, H, W, C], changed in place. how: SamplerOptions::clip.
void clip_estimate(const std::string& how, Tensor& x0);

}  // namespace ddpm
