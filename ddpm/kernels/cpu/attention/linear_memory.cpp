#include "ddpm/kernels/cpu/attention/linear_memory.h"

#include <algorithm>
#include <cmath>

#include "ddpm/kernels/cpu/gemm/matmul.h"

namespace ddpm::cpu {
namespace {

// The rows of a head in a matrix [hidden, count].
ConstRows head_rows(const AttentionShape& s, const float* matrix, int64_t count, int64_t head) {
  return {matrix + head * s.width * count, count};
}
Rows head_rows(const AttentionShape& s, float* matrix, int64_t count, int64_t head) {
  return {matrix + head * s.width * count, count};
}

const float* values_of(const AttentionShape& s, const AttentionMemory& memory) {
  return memory.kv + s.hidden() * memory.count;
}

}  // namespace

void memory_sums(const AttentionShape& s, const AttentionMemory& memory, float* maxima,
                 float* sums) {
  for (int64_t c = 0; c < s.hidden(); ++c) {
    const float* keys = memory.kv + c * memory.count;
    maxima[c] = *std::max_element(keys, keys + memory.count);
    sums[c] = 0;
    for (int64_t m = 0; m < memory.count; ++m) sums[c] += std::exp(keys[m] - maxima[c]);
  }
}

void memory_weights(const AttentionShape& s, const AttentionMemory& memory, const float* maxima,
                    const float* sums, float* weights) {
  for (int64_t c = 0; c < s.hidden(); ++c) {
    for (int64_t m = 0; m < memory.count; ++m) {
      const int64_t i = c * memory.count + m;
      weights[i] = std::exp(memory.kv[i] - maxima[c]) / sums[c];
    }
  }
}

void add_memory_context(const AttentionShape& s, const AttentionMemory& memory,
                        const float* weights, int64_t head, float* context) {
  matmul_nt({.m = s.width,
             .n = s.width,
             .k = memory.count,
             .a = head_rows(s, weights, memory.count, head),
             .b = head_rows(s, values_of(s, memory), memory.count, head),
             .c = {context, s.width},
             .accumulate = true});
}

void memory_context_gradient(const AttentionShape& s, const AttentionMemory& memory,
                             const float* weights, int64_t head, const float* dcontext,
                             float* dvalues, float* dweights) {
  matmul_tn({.m = s.width,
             .n = memory.count,
             .k = s.width,
             .a = {dcontext, s.width},
             .b = head_rows(s, weights, memory.count, head),
             .c = head_rows(s, dvalues, memory.count, head)});
  matmul_nn({.m = s.width,
             .n = memory.count,
             .k = s.width,
             .a = {dcontext, s.width},
             .b = head_rows(s, values_of(s, memory), memory.count, head),
             .c = head_rows(s, dweights, memory.count, head)});
}

void add_memory_mix(const AttentionShape& s, int64_t count, const float* weights,
                    const float* dweights, float* mix) {
  for (int64_t c = 0; c < s.hidden(); ++c) {
    double sum = mix[c];
    for (int64_t i = c * count; i < (c + 1) * count; ++i) sum += double{weights[i]} * dweights[i];
    mix[c] = static_cast<float>(sum);
  }
}

void memory_keys_gradient(const AttentionShape& s, int64_t count, const float* weights,
                          const float* dweights, const float* mix, float* dkeys) {
  for (int64_t c = 0; c < s.hidden(); ++c) {
    for (int64_t i = c * count; i < (c + 1) * count; ++i) {
      dkeys[i] = weights[i] * (dweights[i] - mix[c]);
    }
  }
}

}  // namespace ddpm::cpu
