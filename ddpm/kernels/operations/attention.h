// Attention over the positions of an image.
// kernels/operations.h tells the conventions.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/kernels/arguments.h"
#include "ddpm/kernels/operations/describe.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

// The 1x1 convolutions before and after linear attention. Refers to tensors that must outlive it.
struct AttentionProjections {
  const Tensor& qkv;   // [1, 1, C, 3 * heads * d]
  const Tensor& out;   // [1, 1, heads * d, K]
  const Tensor& bias;  // [K], added to the output
};

// What the backward pass of projected linear attention needs besides its inputs.
struct LinearAttentionSums {
  // [N, heads * d]: the maximum of k over positions, and the sum of exp(k - maximum).
  Tensor k_max, k_sum;
  // [N, heads * d, C]: the sum over positions n of softmax(k)[., n] x[n].
  Tensor gathered;
};

}  // namespace ddpm

namespace ddpm::op {

// Floating-point operations of so many products of positions x keys x d for each head; qkv [N, H,
// W, 3 * heads * d], memory [2, heads, M, d] or null.
inline double attention_flops(const Tensor& qkv, const Tensor* memory, double products) {
  const int64_t keys = qkv.size(1) * qkv.size(2) + (memory ? memory->size(2) : 0);
  const int64_t elements_of_q = qkv.elements() / 3;
  return products * 2 * static_cast<double>(keys) * static_cast<double>(elements_of_q);
}

// Floating-point operations of so many products of positions x d x d for each head; `elements` is
// the size of q. Those of a memory are few and not counted.
inline double linear_attention_flops(int64_t d, int64_t elements, double products) {
  return products * 2 * static_cast<double>(d * elements);
}

// Floating-point operations of the projections and the attention between them, `passes` times.
inline double projected_attention_flops(const AttentionArgs& args, const Tensor& x,
                                        const AttentionProjections& w, int passes) {
  const int64_t rows = x.elements() / x.size(3), hidden = w.out.size(2);
  double flops = 0;
  for (int pass = 0; pass < passes; ++pass) {
    flops += product_flops(rows, w.qkv) + product_flops(rows, w.out);
  }
  return flops + linear_attention_flops(hidden / args.heads, rows * hidden, 2 * passes);
}

// out = softmax(q^T k / sqrt(d)) v (Vaswani et al. 2017, arXiv:1706.03762). logsumexp is what the
// backward pass needs to rebuild the softmax: log of the sum over j of exp(q_i . k_j / sqrt(d)).
// The memory holds M keys and then M values for each head that every image has besides those of its
// positions.
struct Attention {
  static constexpr const char* kName = "attention";
  AttentionArgs args = {};
  const Tensor& qkv;               // [N, H, W, 3 * heads * d]
  const Tensor* memory = nullptr;  // [2, heads, M, d]
  Tensor& out;                     // [N, H, W, heads * d]
  Tensor& logsumexp;               // [N, heads, H * W]

  double flops() const { return attention_flops(qkv, memory, 2); }
  std::string shape() const { return extents(qkv); }
};

struct AttentionBackward {
  static constexpr const char* kName = "attention backward";
  AttentionArgs args = {};
  const Tensor& dout;
  const Tensor& qkv;
  const Tensor* memory = nullptr;
  const Tensor& out;
  const Tensor& logsumexp;
  Tensor& dqkv;
  Tensor* dmemory = nullptr;  // null exactly where memory is

  // The scores are computed again.
  double flops() const { return attention_flops(qkv, memory, 5); }
  std::string shape() const { return extents(qkv); }
};

// Linear attention (Shen et al. 2018, arXiv:1812.01243): q is softmaxed over its d channels and
// multiplied by 1 / sqrt(d), k softmaxed over positions; context[d, e] = sum over n of k[d, n] v[e,
// n]; out[e, n] = sum over d of context[d, e] q[d, n]. k_max and k_sum: the maximum of k over
// positions and the sum of exp(k - maximum). The memory holds M keys and then M values for each
// head, which count as further positions of k and v.
struct LinearAttention {
  static constexpr const char* kName = "linear_attention";
  AttentionArgs args = {};
  const Tensor& qkv;               // [N, H, W, 3 * heads * d]
  const Tensor* memory = nullptr;  // [2, heads, d, M]
  Tensor& out;                     // [N, H, W, heads * d]
  Tensor& context;                 // [N, heads, d, d]
  Tensor& k_max;                   // [N, heads * d]
  Tensor& k_sum;                   // [N, heads * d]

  double flops() const {
    return linear_attention_flops(qkv.size(3) / 3 / args.heads, qkv.elements() / 3, 2);
  }
  std::string shape() const { return extents(qkv); }
};

// dqkv may be qkv.
struct LinearAttentionBackward {
  static constexpr const char* kName = "linear_attention backward";
  AttentionArgs args = {};
  const Tensor& dout;
  const Tensor& qkv;
  const Tensor* memory = nullptr;
  const Tensor& context;
  const Tensor& k_max;
  const Tensor& k_sum;
  Tensor& dqkv;
  Tensor* dmemory = nullptr;  // null exactly where memory is

  double flops() const {
    return linear_attention_flops(qkv.size(3) / 3 / args.heads, qkv.elements() / 3, 4);
  }
  std::string shape() const { return extents(qkv); }
};

// LinearAttention between its projections: qkv = x w.qkv, y = out w.out + w.bias. The products may
// be taken in any order: (softmax(k)^T x) w_v instead of softmax(k)^T (x w_v).
struct ProjectedLinearAttention {
  static constexpr const char* kName = "projected_linear_attention";
  AttentionArgs args = {};
  const Tensor& x;  // [N, H, W, C]
  AttentionProjections w;
  const Tensor* memory = nullptr;  // [2, heads, d, M]
  Tensor& y;                       // [N, H, W, K]
  LinearAttentionSums& sums;

  double flops() const { return projected_attention_flops(args, x, w, 1); }
};

// Each gradient has the shape of what it is the gradient of.
struct ProjectedLinearAttentionBackward {
  static constexpr const char* kName = "projected_linear_attention backward";
  AttentionArgs args = {};
  const Tensor& dy;
  const Tensor& x;
  AttentionProjections w;
  const Tensor* memory = nullptr;
  const LinearAttentionSums& sums;
  Tensor& dx;
  Tensor& dw_qkv;
  Tensor& dw_out;
  Tensor& dbias;
  Tensor* dmemory = nullptr;  // null exactly where memory is

  double flops() const { return projected_attention_flops(args, x, w, 2); }
};

}  // namespace ddpm::op

#define DDPM_ATTENTION_OPERATIONS(F) \
  F(Attention)                       \
  F(AttentionBackward)               \
  F(LinearAttention)                 \
  F(LinearAttentionBackward)         \
  F(ProjectedLinearAttention)        \
  F(ProjectedLinearAttentionBackward)
