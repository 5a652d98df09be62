// The memory of linear attention: keys and values [heads, width, count] that every image has
// besides its positions. There are few, so these are plain loops. One thread each; nothing is
// allocated.
#pragma once

#include <cstdint>

#include "ddpm/kernels/cpu/attention/attention_shape.h"

namespace ddpm::cpu {

// Maxima of the keys, and sums of exp(key - maximum), of each of `hidden` channels.
void memory_sums(const AttentionShape& shape, const AttentionMemory& memory, float* maxima,
                 float* sums);
// weights [hidden, count] = exp(key - maxima) / sums.
void memory_weights(const AttentionShape& shape, const AttentionMemory& memory, const float* maxima,
                    const float* sums, float* weights);
// context [width, width] of a head += its weights times its values.
void add_memory_context(const AttentionShape& shape, const AttentionMemory& memory,
                        const float* weights, int64_t head, float* context);
// The gradients of values and of weights of a head, to their places in dvalues and dweights
// [hidden, count], from the gradient of its context.
void memory_context_gradient(const AttentionShape& shape, const AttentionMemory& memory,
                             const float* weights, int64_t head, const float* dcontext,
                             float* dvalues, float* dweights);
// mix[c] += sum of weights and their gradients.
void add_memory_mix(const AttentionShape& shape, int64_t count, const float* weights,
                    const float* dweights, float* mix);
// dkeys = weights (dweights - mix); dkeys may be dweights.
void memory_keys_gradient(const AttentionShape& shape, int64_t count, const float* weights,
                          const float* dweights, const float* mix, float* dkeys);

}  // namespace ddpm::cpu
