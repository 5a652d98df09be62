// Linear attention, as op::LinearAttention defines it. Uses the threads of the pool; results
// depend neither on their number nor on the other images of a batch.
#pragma once

#include "ddpm/kernels/cpu/attention/attention_shape.h"

namespace ddpm::cpu {

// out [images, positions, hidden], context [images, heads, width, width], k_max and k_sum
// [images, hidden].
void linear_attention(const AttentionShape& shape, const float* qkv, const AttentionMemory& memory,
                      float* out, float* context, float* k_max, float* k_sum);
// dqkv is of the size of qkv and may be qkv, dmemory is of that of the memory. Only the gradient
// of the memory depends on all images.
void linear_attention_backward(const AttentionShape& shape, const float* dout, const float* qkv,
                               const AttentionMemory& memory, const float* context,
                               const float* k_max, const float* k_sum, float* dqkv, float* dmemory);

}  // namespace ddpm::cpu
