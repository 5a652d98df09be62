// RMS normalisation with FiLM and SiLU, as op::RmsNorm defines it. Maps are [images, positions,
// channels], dense. All functions use the threads of the pool; results do not depend on their
// number. Of the results only the gradient of g depends on the other images of a batch.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

struct RmsNorm {
  int64_t images = 0, positions = 0, channels = 0;
  bool silu = false;            // SiLU after the affine map
  const float* g = nullptr;     // [channels]
  const float* film = nullptr;  // [images, 2 channels] or null
};

// y [images, positions, channels]; residual, of y's shape, may be null.
void rms_norm(const RmsNorm& norm, const float* x, const float* residual, float* y);

struct RmsNormGradients {
  float* dx;     // [images, positions, channels]; may be dy
  float* dg;     // [channels]
  float* dfilm;  // [images, 2 channels], or null if there is no film
};
void rms_norm_backward(const RmsNorm& norm, const float* dy, const float* x,
                       const RmsNormGradients& gradients);

}  // namespace ddpm::cpu
