// Softmax attention in blocks of queries and keys with a running maximum (Dao et al. 2022,
// arXiv:2205.14135), so that no matrix of positions x positions stands in memory. A head's columns
// are read and written in place. Forward, a block of queries is a task; backward, a head of an
// image is one, because its blocks add into each other's rows.

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/kernels/cpu/cpu_backend.h"
#include "ddpm/kernels/cpu/matmul.h"
#include "ddpm/kernels/cpu/phases.h"
#include "ddpm/kernels/cpu/softmax.h"
#include "ddpm/kernels/cpu/tasks.h"

namespace ddpm {
namespace {

constexpr int64_t kQueries = 64, kKeys = 128;  // 32 KiB of scores

struct Extents {
  Extents(const AttentionArgs& args, const Tensor& qkv)
      : images(qkv.size(0)),
        heads(args.heads),
        hidden(qkv.size(-1) / 3),
        width(hidden / heads),
        positions(qkv.elements() / std::max<int64_t>(images * 3 * hidden, 1)),
        scale(static_cast<float>(1 / std::sqrt(static_cast<double>(width)))) {}
  int64_t images, heads, hidden, width, positions;
  float scale;
};

}  // namespace

void CpuBackend::attention(const AttentionArgs& args, const Tensor& qkv, Tensor& out,
                           Tensor& logsumexp) {
  const Extents e(args, qkv);
  const int64_t blocks = cpu::ceil_div(e.positions, kQueries), stride = 3 * e.hidden;
  const float* from = qkv.f32();
  float *to = out.f32(), *lse = logsumexp.f32();
  const auto run = [&](int64_t task) {
    const int64_t head = task / blocks % e.heads, n = task / blocks / e.heads;
    const int64_t first = task % blocks * kQueries, rows = std::min(kQueries, e.positions - first);
    const float* q = from + n * e.positions * stride + head * e.width;
    const cpu::Rows result = {to + (n * e.positions + first) * e.hidden + head * e.width, e.hidden};
    cpu::Scratch scratch(kQueries * (kKeys + 2) * static_cast<int64_t>(sizeof(float)));
    const cpu::Rows scores = {scratch.as<float>(), kKeys};
    float *highest = scores.data + kQueries * kKeys, *total = highest + kQueries;
    std::fill_n(highest, rows, -HUGE_VALF);
    std::fill_n(total, rows, 0.0f);
    for (int64_t key = 0; key < e.positions; key += kKeys) {
      const int64_t keys = std::min(kKeys, e.positions - key);
      const float *k = q + key * stride + e.hidden, *v = k + e.hidden;
      cpu::matmul_nt({.m = rows,
                      .n = keys,
                      .k = e.width,
                      .a = q + first * stride,
                      .a_stride = stride,
                      .b = k,
                      .b_stride = stride,
                      .c = scores.data,
                      .c_stride = kKeys,
                      .alpha = e.scale});
      cpu::attention_block(rows, keys, scores, highest, total, e.width, result);
      cpu::matmul_nn({.m = rows,
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
    cpu::attention_finish(rows, highest, total, e.width, result,
                          lse + (n * e.heads + head) * e.positions + first);
  };
  cpu::for_each_task(e.images * e.heads * blocks, qkv.elements() * e.positions, run);
}

// With p = exp(s - logsumexp): dv_j = sum_i p_ij dout_i; ds_ij = scale p_ij (dout_i . v_j -
// dout_i . out_i); dq_i = sum_j ds_ij k_j; dk_j = sum_i ds_ij q_i.
void CpuBackend::attention_backward(const AttentionArgs& args, const Tensor& dout,
                                    const Tensor& qkv, const Tensor& out, const Tensor& logsumexp,
                                    Tensor& dqkv) {
  const Extents e(args, qkv);
  const int64_t stride = 3 * e.hidden;
  const auto run = [&](int64_t task) {
    const int64_t head = task % e.heads, n = task / e.heads;
    const int64_t at = n * e.positions * stride + head * e.width;
    const int64_t out_at = n * e.positions * e.hidden + head * e.width;
    const float *q = qkv.f32() + at, *k = q + e.hidden, *v = k + e.hidden;
    const float *grad = dout.f32() + out_at, *lse = logsumexp.f32() + task * e.positions;
    float *dq = dqkv.f32() + at, *dk = dq + e.hidden, *dv = dk + e.hidden;
    cpu::Scratch scratch((2 * kQueries * kKeys + e.positions) *
                         static_cast<int64_t>(sizeof(float)));
    const cpu::Rows p = {scratch.as<float>(), kKeys};
    const cpu::Rows ds = {p.data + kQueries * kKeys, kKeys};
    float* inner = ds.data + kQueries * kKeys;
    cpu::row_products(e.positions, e.width, {grad, e.hidden}, {out.f32() + out_at, e.hidden},
                      inner);
    for (int64_t key = 0; key < e.positions; key += kKeys) {
      const int64_t keys = std::min(kKeys, e.positions - key);
      for (int64_t first = 0; first < e.positions; first += kQueries) {
        const int64_t rows = std::min(kQueries, e.positions - first);
        // [rows, width] by [keys, width] into [rows, keys].
        const auto scores = [&](const float* a, int64_t a_stride, const float* b, float alpha,
                                cpu::Rows c) {
          cpu::matmul_nt({.m = rows,
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
        const auto add_to_keys = [&](cpu::Rows a, const float* b, int64_t b_stride, float* c) {
          cpu::matmul_tn({.m = keys,
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
        cpu::attention_block_gradient(rows, keys, e.scale, lse + first, inner + first, p, ds);
        add_to_keys(p, grad, e.hidden, dv);
        add_to_keys(ds, q, stride, dk);
        cpu::matmul_nn({.m = rows,
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
  cpu::for_each_task(e.images * e.heads, qkv.elements() * e.positions, run);
}

}  // namespace ddpm
