// Softmax attention in blocks of queries and keys with a running maximum (Dao et al. 2022,
// arXiv:2205.14135), so that no matrix of positions x positions is ever in memory. The columns of a
// head are read and written in place. Forward, a task is a block of queries. Backward, a task is a
// head of an image, because the blocks of a head add to each other's rows.
#include "ddpm/kernels/cpu/attention/attention.h"

#include <algorithm>
#include <cmath>

#include "ddpm/kernels/cpu/attention/softmax.h"
#include "ddpm/kernels/cpu/gemm/matmul.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kQueries = 64, kKeys = 128;  // 32 KiB of scores

// q, k and v of one head of one image, each [positions, width], or their gradients.
template <class Matrix>
struct Head {
  Matrix q, k, v;
};
using HeadInput = Head<ConstRows>;
using HeadGradient = Head<Rows>;

// Number `index` of all heads of all images. data: qkv or its gradient.
template <class Matrix>
Head<Matrix> head_of(const AttentionShape& s, Matrix qkv, int64_t index) {
  const int64_t head = index % s.heads, n = index / s.heads;
  const Matrix q = qkv.from_row(n * s.positions).from_column(head * s.width);
  return {q, q.from_column(s.hidden()), q.from_column(2 * s.hidden())};
}

// Its columns of an output [images, positions, hidden].
template <class Matrix>
Matrix output_of(const AttentionShape& s, Matrix output, int64_t index) {
  const int64_t head = index % s.heads, n = index / s.heads;
  return output.from_row(n * s.positions).from_column(head * s.width);
}

// Multiply-adds or the like of all heads together.
int64_t work_of(const AttentionShape& s) { return s.elements() * s.positions; }

// The outputs of queries [queries) of a head, to `out`, and their logsumexp.
void attend(const AttentionShape& s, const HeadInput& head, Range queries, Rows out,
            float* logsumexp) {
  const int64_t rows = queries.size();
  Scratch<> scratch(kQueries * (kKeys + 2));
  const Rows scores = {scratch.data(), kKeys};
  float *highest = scores.row(kQueries), *total = highest + kQueries;
  std::fill_n(highest, rows, -HUGE_VALF);
  std::fill_n(total, rows, 0.0f);
  for (int64_t key = 0; key < s.positions; key += kKeys) {
    const int64_t keys = std::min(kKeys, s.positions - key);
    matmul_nt({.m = rows,
               .n = keys,
               .k = s.width,
               .a = head.q.from_row(queries.begin),
               .b = head.k.from_row(key),
               .c = scores,
               .alpha = s.scale()});
    attention_block(rows, keys, scores, highest, total, s.width, out);
    matmul_nn({.m = rows,
               .n = s.width,
               .k = keys,
               .a = scores,
               .b = head.v.from_row(key),
               .c = out,
               .accumulate = key > 0});
  }
  attention_finish(rows, highest, total, s.width, out, logsumexp);
}

// With p = exp(s - logsumexp): dv_j = sum_i p_ij dout_i; ds_ij = scale p_ij (dout_i . v_j -
// dout_i . out_i); dq_i = sum_j ds_ij k_j; dk_j = sum_i ds_ij q_i.
void attend_backward(const AttentionShape& s, const HeadInput& head, ConstRows dout, ConstRows out,
                     const float* logsumexp, const HeadGradient& gradient) {
  Scratch<> scratch(2 * kQueries * kKeys + s.positions);
  const Rows p = {scratch.data(), kKeys}, ds = p.from_row(kQueries);
  float* inner = ds.row(kQueries);
  row_products(s.positions, s.width, dout, out, inner);
  for (int64_t key = 0; key < s.positions; key += kKeys) {
    const int64_t keys = std::min(kKeys, s.positions - key);
    const ConstRows k = head.k.from_row(key), v = head.v.from_row(key);
    const Rows dk = gradient.k.from_row(key), dv = gradient.v.from_row(key);
    for (int64_t first = 0; first < s.positions; first += kQueries) {
      const int64_t rows = std::min(kQueries, s.positions - first), width = s.width;
      const ConstRows q = head.q.from_row(first), grad = dout.from_row(first);
      const Rows dq = gradient.q.from_row(first);
      const bool add = first > 0;
      matmul_nt({.m = rows, .n = keys, .k = width, .a = q, .b = k, .c = p, .alpha = s.scale()});
      matmul_nt({.m = rows, .n = keys, .k = width, .a = grad, .b = v, .c = ds});
      attention_block_gradient(rows, keys, s.scale(), logsumexp + first, inner + first, p, ds);
      matmul_tn({.m = keys, .n = width, .k = rows, .a = p, .b = grad, .c = dv, .accumulate = add});
      matmul_tn({.m = keys, .n = width, .k = rows, .a = ds, .b = q, .c = dk, .accumulate = add});
      matmul_nn(
          {.m = rows, .n = width, .k = keys, .a = ds, .b = k, .c = dq, .accumulate = key > 0});
    }
  }
}

}  // namespace

void softmax_attention(const AttentionShape& s, const float* qkv, float* out, float* logsumexp) {
  const int64_t blocks = ceil_div(s.positions, kQueries);
  for_each_task(s.images * s.heads * blocks, work_of(s), [&](int64_t task) {
    const int64_t index = task / blocks, first = task % blocks * kQueries;
    attend(s, head_of(s, ConstRows{qkv, s.stride()}, index),
           {first, std::min(s.positions, first + kQueries)},
           output_of(s, Rows{out, s.hidden()}, index).from_row(first),
           logsumexp + index * s.positions + first);
  });
}

void softmax_attention_backward(const AttentionShape& s, const float* dout, const float* qkv,
                                const float* out, const float* logsumexp, float* dqkv) {
  for_each_task(s.images * s.heads, work_of(s), [&](int64_t index) {
    attend_backward(s, head_of(s, ConstRows{qkv, s.stride()}, index),
                    output_of(s, ConstRows{dout, s.hidden()}, index),
                    output_of(s, ConstRows{out, s.hidden()}, index),
                    logsumexp + index * s.positions, head_of(s, Rows{dqkv, s.stride()}, index));
  });
}

}  // namespace ddpm::cpu
