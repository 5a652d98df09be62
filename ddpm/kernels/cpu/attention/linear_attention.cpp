// Linear attention in two passes over blocks of positions. Forward, the first gathers each block's
// k^T v under the block's own maxima of k; the merge brings the blocks to common maxima, and the
// second pass reads the context through the softmax of q. Backward, the first pass needs q and dout
// alone and gives dq and the context's gradient, the second k and v. Softmaxes are recomputed;
// nothing of the size of the image is stored.
#include "ddpm/kernels/cpu/attention/linear_attention.h"

#include <algorithm>
#include <cmath>

#include "ddpm/kernels/cpu/attention/softmax.h"
#include "ddpm/kernels/cpu/gemm/matmul.h"
#include "ddpm/kernels/cpu/work/phases.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kBlock = 128;  // positions: 64 KiB of each of q, k, v with 4 heads of 32

struct Extents {
  explicit Extents(const AttentionShape& s)
      : images(s.images),
        heads(s.heads),
        hidden(s.hidden()),
        width(s.width),
        stride(s.stride()),
        positions(s.positions),
        blocks(ceil_div(positions, kBlock)),
        context(hidden * width),
        elements(s.elements()),
        scale(s.scale()) {}
  int64_t rows(int64_t b) const { return std::min(kBlock, positions - b * kBlock); }
  int64_t row(int64_t n, int64_t b) const { return n * positions + b * kBlock; }

  int64_t images, heads, hidden, width, stride, positions, blocks;
  int64_t context;   // elements of one image's context [heads, width, width]
  int64_t elements;  // of qkv
  float scale;
};

constexpr int64_t bytes_of(int64_t floats) { return floats * static_cast<int64_t>(sizeof(float)); }

}  // namespace

void linear_attention(const AttentionShape& shape, const float* qkv, float* out, float* context,
                      float* k_max, float* k_sum) {
  const Extents e(shape);
  const int64_t D = e.width;
  // Per block: maxima and sums [hidden] of k, context [heads, D, D].
  const int64_t part_size = 2 * e.hidden + e.context;
  Scratch parts(bytes_of(e.images * e.blocks * part_size));
  const auto part_of = [&](int64_t n, int64_t b) {
    return parts.as<float>() + (n * e.blocks + b) * part_size;
  };

  const auto reduce = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const ConstRows k = {qkv + e.row(n, b) * e.stride + e.hidden, e.stride};
    float *maxima = part_of(n, b), *sums = maxima + e.hidden, *contexts = sums + e.hidden;
    Scratch scratch(bytes_of(rows * e.hidden));
    const Rows exponentials = {scratch.as<float>(), e.hidden};
    column_maxima(rows, e.hidden, k, maxima);
    column_exponentials(rows, e.hidden, k, maxima, exponentials, sums);
    for (int64_t head = 0; head < e.heads; ++head) {
      matmul_tn({.m = D,
                 .n = D,
                 .k = rows,
                 .a = exponentials.data + head * D,
                 .a_stride = e.hidden,
                 .b = k.data + e.hidden + head * D,
                 .b_stride = k.stride,
                 .c = contexts + head * D * D,
                 .c_stride = D});
    }
  };
  const auto merge = [&](int64_t n) {
    merge_column_softmax(e.blocks, part_size, part_of(n, 0), e.hidden, D, k_max + n * e.hidden,
                         k_sum + n * e.hidden, context + n * e.context);
  };
  const auto apply = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    Scratch scratch(bytes_of(rows * e.hidden));
    const Rows soft_q = {scratch.as<float>(), e.hidden};
    softmax_heads(rows, e.heads, D, e.scale, {qkv + e.row(n, b) * e.stride, e.stride}, soft_q);
    for (int64_t head = 0; head < e.heads; ++head) {
      matmul_nn({.m = rows,
                 .n = D,
                 .k = D,
                 .a = soft_q.data + head * D,
                 .a_stride = e.hidden,
                 .b = context + n * e.context + head * D * D,
                 .b_stride = D,
                 .c = out + e.row(n, b) * e.hidden + head * D,
                 .c_stride = e.hidden});
    }
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements, reduce, merge, apply);
}

// With a = softmax(q) / sqrt(d) and b = softmax(k): da = dout context^T, dcontext = a^T dout, dv =
// b dcontext, db = v dcontext^T; dq = a (da - sum_d a da sqrt(d)) and dk = b (db - mix), where mix
// = sum_n b db is the inner product of a row of the context with one of its gradient.
void linear_attention_backward(const AttentionShape& shape, const float* dout, const float* qkv,
                               const float* context, const float* k_max, const float* k_sum,
                               float* dqkv) {
  const Extents e(shape);
  const int64_t D = e.width;
  Scratch parts(bytes_of(e.images * e.blocks * e.context));         // of dcontext
  Scratch totals(bytes_of(e.images * (e.context + 2 * e.hidden)));  // dcontext, mix, 1 / k_sum
  const auto part_of = [&](int64_t n, int64_t b) {
    return parts.as<float>() + (n * e.blocks + b) * e.context;
  };
  const auto total_of = [&](int64_t n) {
    return totals.as<float>() + n * (e.context + 2 * e.hidden);
  };

  const auto reduce = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const float* grad = dout + e.row(n, b) * e.hidden;
    Scratch scratch(bytes_of(2 * rows * e.hidden));
    const Rows a = {scratch.as<float>(), e.hidden};
    const Rows da = {a.data + rows * e.hidden, e.hidden};
    softmax_heads(rows, e.heads, D, e.scale, {qkv + e.row(n, b) * e.stride, e.stride}, a);
    for (int64_t head = 0; head < e.heads; ++head) {
      matmul_nt({.m = rows,
                 .n = D,
                 .k = D,
                 .a = grad + head * D,
                 .a_stride = e.hidden,
                 .b = context + n * e.context + head * D * D,
                 .b_stride = D,
                 .c = da.data + head * D,
                 .c_stride = e.hidden});
      matmul_tn({.m = D,
                 .n = D,
                 .k = rows,
                 .a = a.data + head * D,
                 .a_stride = e.hidden,
                 .b = grad + head * D,
                 .b_stride = e.hidden,
                 .c = part_of(n, b) + head * D * D,
                 .c_stride = D});
    }
    softmax_heads_gradient(rows, e.heads, D, e.scale, {a.data, e.hidden}, {da.data, e.hidden},
                           {dqkv + e.row(n, b) * e.stride, e.stride});
  };
  const auto merge = [&](int64_t n) {
    float *dcontext = total_of(n), *mix = dcontext + e.context, *inverse = mix + e.hidden;
    std::copy_n(part_of(n, 0), e.context, dcontext);
    for (int64_t b = 1; b < e.blocks; ++b) {
      const float* part = part_of(n, b);
      for (int64_t i = 0; i < e.context; ++i) dcontext[i] += part[i];
    }
    const float* contexts = context + n * e.context;
    for (int64_t c = 0; c < e.hidden; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < D; ++i) sum += double{dcontext[c * D + i]} * contexts[c * D + i];
      mix[c] = static_cast<float>(sum);
      inverse[c] = 1 / k_sum[n * e.hidden + c];
    }
  };
  const auto apply = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const float *k = qkv + e.row(n, b) * e.stride + e.hidden, *v = k + e.hidden;
    float *dk = dqkv + e.row(n, b) * e.stride + e.hidden, *dv = dk + e.hidden;  // or k and v
    const float *dcontext = total_of(n), *mix = dcontext + e.context, *inverse = mix + e.hidden;
    Scratch scratch(bytes_of(2 * rows * e.hidden));
    const Rows soft_k = {scratch.as<float>(), e.hidden};
    const Rows db = {soft_k.data + rows * e.hidden, e.hidden};
    column_softmax(rows, e.hidden, {k, e.stride}, k_max + n * e.hidden, inverse, soft_k);
    for (int64_t head = 0; head < e.heads; ++head) {
      matmul_nt({.m = rows,
                 .n = D,
                 .k = D,
                 .a = v + head * D,
                 .a_stride = e.stride,
                 .b = dcontext + head * D * D,
                 .b_stride = D,
                 .c = db.data + head * D,
                 .c_stride = e.hidden});
      matmul_nn({.m = rows,
                 .n = D,
                 .k = D,
                 .a = soft_k.data + head * D,
                 .a_stride = e.hidden,
                 .b = dcontext + head * D * D,
                 .b_stride = D,
                 .c = dv + head * D,
                 .c_stride = e.stride});
    }
    column_softmax_gradient(rows, e.hidden, {soft_k.data, e.hidden}, {db.data, e.hidden}, mix,
                            {dk, e.stride});
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements, reduce, merge, apply);
}

}  // namespace ddpm::cpu
