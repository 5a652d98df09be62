// Linear attention between its projections, as op::ProjectedLinearAttention defines it. Uses
// the threads of the pool; results depend neither on their number nor, gradients of weights
// excepted, on the other images of a batch.
#pragma once

#include <cstdint>

#include "ddpm/kernels/cpu/attention/attention_shape.h"

namespace ddpm::cpu {

struct ProjectedShape {
  AttentionShape attention;
  int64_t channels = 0;  // of x
  int64_t outputs = 0;   // channels of y
};

struct Projections {
  const float* qkv;   // [channels, 3 hidden]
  const float* out;   // [hidden, outputs]
  const float* bias;  // [outputs]; the backward pass does not read it
  AttentionMemory memory = {};
};

// y [images, positions, outputs] from x [images, positions, channels]; k_max and k_sum
// [images, hidden] and gathered [images, hidden, channels] are what the gradient needs.
void projected_linear_attention(const ProjectedShape& shape, const float* x, const Projections& w,
                                float* y, float* k_max, float* k_sum, float* gathered);

struct ProjectedGradients {
  float* dx;      // [images, positions, channels]
  float* dw_qkv;  // [channels, 3 hidden]
  float* dw_out;  // [hidden, outputs]
  float* dbias;   // [outputs]
  float* dmemory = nullptr;
};
void projected_linear_attention_backward(const ProjectedShape& shape, const float* dy,
                                         const float* x, const Projections& w, const float* k_max,
                                         const float* k_sum, const float* gathered,
                                         const ProjectedGradients& gradients);

}  // namespace ddpm::cpu
