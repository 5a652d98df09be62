// Softmax attention in blocks of queries and keys with a running maximum (Dao et al. 2022,
// arXiv:2205.14135), so that no matrix of positions x positions stands in memory. A head's columns
// are read and written in place. Forward, a block of queries is a task; backward, a head of an
// image is one, because its blocks add into each other's rows.
#include "ddpm/kernels/cpu/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/attention/softmax.h"
#include "ddpm/kernels/cpu/gemm/matmul.h"
#include "ddpm/kernels/cpu/work/phases.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kQueries = 64, kKeys = 128;  // 32 KiB of scores

struct Extents {
  explicit Extents(const AttentionShape& s)
      : images(s.images),
        heads(s.heads),
        hidden(s.hidden()),
        width(s.width),
        positions(s.positions),
        stride(s.stride()),
        work(s.elements() * s.positions),
        scale(s.scale()) {}
  int64_t images, heads, hidden, width, positions, stride;
  int64_t work;  // of all tasks together, in multiply-adds or the like
  float scale;
};

}  // namespace

void softmax_attention(const AttentionShape& shape, const float* qkv, float* out,
                       float* logsumexp) {
  const Extents e(shape);
  const int64_t blocks = ceil_div(e.positions, kQueries), stride = e.stride;
  const auto run = [&](int64_t task) {
    const int64_t head = task / blocks % e.heads, n = task / blocks / e.heads;
    const int64_t first = task % blocks * kQueries, rows = std::min(kQueries, e.positions - first);
    const float* q = qkv + n * e.positions * stride + head * e.width;
    const Rows result = {out + (n * e.positions + first) * e.hidden + head * e.width, e.hidden};
    Scratch scratch(kQueries * (kKeys + 2) * static_cast<int64_t>(sizeof(float)));
    const Rows scores = {scratch.as<float>(), kKeys};
    float *highest = scores.data + kQueries * kKeys, *total = highest + kQueries;
    std::fill_n(highest, rows, -HUGE_VALF);
    std::fill_n(total, rows, 0.0f);
    for (int64_t key = 0; key < e.positions; key += kKeys) {
      const int64_t keys = std::min(kKeys, e.positions - key);
      const float *k = q + key * stride + e.hidden, *v = k + e.hidden;
      matmul_nt({.m = rows,
                 .n = keys,
                 .k = e.width,
                 .a = q + first * stride,
                 .a_stride = stride,
                 .b = k,
                 .b_stride = stride,
                 .c = scores.data,
                 .c_stride = kKeys,
                 .alpha = e.scale});
      attention_block(rows, keys, scores, highest, total, e.width, result);
      matmul_nn({.m = rows,
                 .n = e.width,
                 .k = keys,
                 .a = scores.data,
                 .a_stride = kKeys,
                 .b = v,
                 .b_stride = stride,
                 .c = result.data,
                 .c_stride = e.hidden,
                 .accumulate = key > 0});
    }
    attention_finish(rows, highest, total, e.width, result,
                     logsumexp + (n * e.heads + head) * e.positions + first);
  };
  for_each_task(e.images * e.heads * blocks, e.work, run);
}

// With p = exp(s - logsumexp): dv_j = sum_i p_ij dout_i; ds_ij = scale p_ij (dout_i . v_j -
// dout_i . out_i); dq_i = sum_j ds_ij k_j; dk_j = sum_i ds_ij q_i.
void softmax_attention_backward(const AttentionShape& shape, const float* dout, const float* qkv,
                                const float* out, const float* logsumexp, float* dqkv) {
  const Extents e(shape);
  const int64_t stride = e.stride;
  const auto run = [&](int64_t task) {
    const int64_t head = task % e.heads, n = task / e.heads;
    const int64_t at = n * e.positions * stride + head * e.width;
    const int64_t out_at = n * e.positions * e.hidden + head * e.width;
    const float *q = qkv + at, *k = q + e.hidden, *v = k + e.hidden;
    const float *grad = dout + out_at, *lse = logsumexp + task * e.positions;
    float *dq = dqkv + at, *dk = dq + e.hidden, *dv = dk + e.hidden;
    Scratch scratch((2 * kQueries * kKeys + e.positions) * static_cast<int64_t>(sizeof(float)));
    const Rows p = {scratch.as<float>(), kKeys};
    const Rows ds = {p.data + kQueries * kKeys, kKeys};
    float* inner = ds.data + kQueries * kKeys;
    row_products(e.positions, e.width, {grad, e.hidden}, {out + out_at, e.hidden}, inner);
    for (int64_t key = 0; key < e.positions; key += kKeys) {
      const int64_t keys = std::min(kKeys, e.positions - key);
      for (int64_t first = 0; first < e.positions; first += kQueries) {
        const int64_t rows = std::min(kQueries, e.positions - first);
        // [rows, width] by [keys, width] into [rows, keys].
        const auto scores = [&](const float* a, int64_t a_stride, const float* b, float alpha,
                                Rows c) {
          matmul_nt({.m = rows,
                     .n = keys,
                     .k = e.width,
                     .a = a + first * a_stride,
                     .a_stride = a_stride,
                     .b = b + key * stride,
                     .b_stride = stride,
                     .c = c.data,
                     .c_stride = c.stride,
                     .alpha = alpha});
        };
        // [rows, keys] transposed by [rows, width] into [keys, width].
        const auto add_to_keys = [&](Rows a, const float* b, int64_t b_stride, float* c) {
          matmul_tn({.m = keys,
                     .n = e.width,
                     .k = rows,
                     .a = a.data,
                     .a_stride = a.stride,
                     .b = b + first * b_stride,
                     .b_stride = b_stride,
                     .c = c + key * stride,
                     .c_stride = stride,
                     .accumulate = first > 0});
        };
        scores(q, stride, k, e.scale, p);
        scores(grad, e.hidden, v, 1, ds);
        attention_block_gradient(rows, keys, e.scale, lse + first, inner + first, p, ds);
        add_to_keys(p, grad, e.hidden, dv);
        add_to_keys(ds, q, stride, dk);
        matmul_nn({.m = rows,
                   .n = e.width,
                   .k = keys,
                   .a = ds.data,
                   .a_stride = kKeys,
                   .b = k + key * stride,
                   .b_stride = stride,
                   .c = dq + first * stride,
                   .c_stride = stride,
                   .accumulate = key > 0});
      }
    }
  };
  for_each_task(e.images * e.heads, e.work, run);
}

}  // namespace ddpm::cpu
