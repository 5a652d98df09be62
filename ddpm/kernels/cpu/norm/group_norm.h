// Group normalisation with FiLM and SiLU, as op::GroupNorm defines it. Maps are [images, positions,
// channels], dense. All functions use the threads of the pool; results depend neither on their
// number nor, gradients of weights excepted, on the other images of a batch.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

struct GroupNorm {
  int64_t images = 0, positions = 0, channels = 0;
  int64_t groups = 1;
  double eps = 0;     // added to the variance; read by the first pass alone
  bool silu = false;  // SiLU behind the affine map
};

// What the normalized map is multiplied by and added to.
struct GroupNormWeights {
  const float* gamma;           // [channels]
  const float* beta;            // [channels]
  const float* film = nullptr;  // [images, 2 channels] or null
};

// y [images, positions, channels], mean and rstd [images, groups]; residual, of y's shape, may be
// null.
void group_norm(const GroupNorm& norm, const float* x, const GroupNormWeights& weights,
                const float* residual, float* y, float* mean, float* rstd);
// y once more, without residual, from the statistics.
void group_norm_again(const GroupNorm& norm, const float* x, const GroupNormWeights& weights,
                      const float* mean, const float* rstd, float* y);

struct GroupNormGradients {
  float* dx;      // [images, positions, channels]
  float* dgamma;  // [channels]
  float* dbeta;   // [channels]
  float* dfilm;   // [images, 2 channels], or null where there is no film
};
void group_norm_backward(const GroupNorm& norm, const float* dy, const float* x,
                         const GroupNormWeights& weights, const float* mean, const float* rstd,
                         const GroupNormGradients& gradients);

}  // namespace ddpm::cpu
