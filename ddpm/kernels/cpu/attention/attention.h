// Softmax attention over positions, as op::Attention defines it. Uses the threads of the pool;
// results depend neither on their number nor on the other images of a batch.
#pragma once

#include "ddpm/kernels/cpu/attention/attention_shape.h"

namespace ddpm::cpu {

// out [images, positions, hidden], logsumexp [images, heads, positions].
void softmax_attention(const AttentionShape& shape, const float* qkv, const AttentionMemory& memory,
                       float* out, float* logsumexp);
// dqkv is of the size of qkv, dmemory of that of the memory. Only the gradient of the memory
// depends on all images.
void softmax_attention_backward(const AttentionShape& shape, const float* dout, const float* qkv,
                                const AttentionMemory& memory, const float* out,
                                const float* logsumexp, float* dqkv, float* dmemory);

}  // namespace ddpm::cpu
