// Attention on any backend, with outputs that are NaN until written. For tests.
#pragma once

#include <cmath>

#include "ddpm/kernels/backend.h"

namespace ddpm::testing {

// out [N, H, W, heads * d] from qkv [N, H, W, 3 * heads * d].
inline Tensor unwritten_heads(const Tensor& qkv) {
  return Tensor::full({qkv.size(0), qkv.size(1), qkv.size(2), qkv.size(3) / 3}, NAN);
}

struct AttentionResult {
  Tensor out, logsumexp;
};

inline AttentionResult attention(Backend& on, const AttentionArgs& args, const Tensor& qkv,
                                 const Tensor* memory = nullptr) {
  const Shape rows = {qkv.size(0), args.heads, qkv.size(1) * qkv.size(2)};
  AttentionResult r{unwritten_heads(qkv), Tensor::full(rows, NAN)};
  on.run(op::Attention{
      .args = args, .qkv = qkv, .memory = memory, .out = r.out, .logsumexp = r.logsumexp});
  return r;
}

inline void attention_backward(Backend& on, const AttentionArgs& args, const Tensor& dout,
                               const Tensor& qkv, const AttentionResult& of, Tensor& dqkv,
                               const Tensor* memory = nullptr, Tensor* dmemory = nullptr) {
  on.run(op::AttentionBackward{.args = args,
                               .dout = dout,
                               .qkv = qkv,
                               .memory = memory,
                               .out = of.out,
                               .logsumexp = of.logsumexp,
                               .dqkv = dqkv,
                               .dmemory = dmemory});
}

struct LinearAttentionResult {
  Tensor out, context, k_max, k_sum;
};

inline LinearAttentionResult linear_attention(Backend& on, const AttentionArgs& args,
                                              const Tensor& qkv, const Tensor* memory = nullptr) {
  const int64_t images = qkv.size(0), hidden = qkv.size(3) / 3, width = hidden / args.heads;
  LinearAttentionResult r{unwritten_heads(qkv),
                          Tensor::full({images, args.heads, width, width}, NAN),
                          Tensor::full({images, hidden}, NAN), Tensor::full({images, hidden}, NAN)};
  on.run(op::LinearAttention{.args = args,
                             .qkv = qkv,
                             .memory = memory,
                             .out = r.out,
                             .context = r.context,
                             .k_max = r.k_max,
                             .k_sum = r.k_sum});
  return r;
}

// dqkv may be qkv.
inline void linear_attention_backward(Backend& on, const AttentionArgs& args, const Tensor& dout,
                                      const Tensor& qkv, const LinearAttentionResult& of,
                                      Tensor& dqkv, const Tensor* memory = nullptr,
                                      Tensor* dmemory = nullptr) {
  on.run(op::LinearAttentionBackward{.args = args,
                                     .dout = dout,
                                     .qkv = qkv,
                                     .memory = memory,
                                     .context = of.context,
                                     .k_max = of.k_max,
                                     .k_sum = of.k_sum,
                                     .dqkv = dqkv,
                                     .dmemory = dmemory});
}

}  // namespace ddpm::testing
