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

// Keys and values of a head that belong to no position.
template <class Matrix>
struct Remembered {
  Matrix k, v;
  int64_t count;
};

// Those of head `index` of all heads of all images. `data` is a memory or its gradient. With
// `per_image` it holds one for every image.
template <class Matrix, class Pointer>
Remembered<Matrix> remembered_by(const AttentionShape& s, Pointer data, int64_t count,
                                 int64_t index, bool per_image) {
  const int64_t head = index % s.heads, n = per_image ? index / s.heads : 0;
  const int64_t size = count * s.width;  // of the keys of a head
  if (count == 0) return {Matrix{}, Matrix{}, 0};
  Pointer keys = data + (2 * n * s.heads + head) * size;
  return {Matrix{keys, s.width}, Matrix{keys + s.heads * size, s.width}, count};
}

// The outputs of queries [queries) of a head, to `out`, and their logsumexp.
void attend(const AttentionShape& s, const HeadInput& head, const Remembered<ConstRows>& memory,
            Range queries, Rows out, float* logsumexp) {
  const int64_t rows = queries.size();
  Scratch<> scratch(kQueries * (kKeys + 2));
  const Rows scores = {scratch.data(), kKeys};
  float *highest = scores.row(kQueries), *total = highest + kQueries;
  std::fill_n(highest, rows, -HUGE_VALF);
  std::fill_n(total, rows, 0.0f);
  const auto attend_to = [&](ConstRows k, ConstRows v, int64_t keys, bool first) {
    matmul_nt({.m = rows,
               .n = keys,
               .k = s.width,
               .a = head.q.from_row(queries.begin),
               .b = k,
               .c = scores,
               .alpha = s.scale()});
    attention_block(rows, keys, scores, highest, total, s.width, out);
    matmul_nn(
        {.m = rows, .n = s.width, .k = keys, .a = scores, .b = v, .c = out, .accumulate = !first});
  };
  for (int64_t key = 0; key < s.positions; key += kKeys) {
    attend_to(head.k.from_row(key), head.v.from_row(key), std::min(kKeys, s.positions - key),
              key == 0);
  }
  for (int64_t key = 0; key < memory.count; key += kKeys) {
    attend_to(memory.k.from_row(key), memory.v.from_row(key), std::min(kKeys, memory.count - key),
              false);
  }
  attention_finish(rows, highest, total, s.width, out, logsumexp);
}

// With p = exp(s - logsumexp): dv_j = sum_i p_ij dout_i; ds_ij = scale p_ij (dout_i . v_j -
// dout_i . out_i); dq_i = sum_j ds_ij k_j; dk_j = sum_i ds_ij q_i.
void attend_backward(const AttentionShape& s, const HeadInput& head,
                     const Remembered<ConstRows>& memory, ConstRows dout, ConstRows out,
                     const float* logsumexp, const HeadGradient& gradient,
                     const Remembered<Rows>& dmemory) {
  Scratch<> scratch(2 * kQueries * kKeys + s.positions);
  const Rows p = {scratch.data(), kKeys}, ds = p.from_row(kQueries);
  float* inner = ds.row(kQueries);
  row_products(s.positions, s.width, dout, out, inner);
  const auto pass_back = [&](ConstRows k, ConstRows v, int64_t keys, Rows dk, Rows dv, bool again) {
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
      matmul_nn({.m = rows, .n = width, .k = keys, .a = ds, .b = k, .c = dq, .accumulate = again});
    }
  };
  for (int64_t key = 0; key < s.positions; key += kKeys) {
    pass_back(head.k.from_row(key), head.v.from_row(key), std::min(kKeys, s.positions - key),
              gradient.k.from_row(key), gradient.v.from_row(key), key > 0);
  }
  for (int64_t key = 0; key < memory.count; key += kKeys) {
    pass_back(memory.k.from_row(key), memory.v.from_row(key), std::min(kKeys, memory.count - key),
              dmemory.k.from_row(key), dmemory.v.from_row(key), true);
  }
}

}  // namespace

void softmax_attention(const AttentionShape& s, const float* qkv, const AttentionMemory& memory,
                       float* out, float* logsumexp) {
  const int64_t blocks = ceil_div(s.positions, kQueries);
  for_each_task(s.images * s.heads * blocks, work_of(s), [&](int64_t task) {
    const int64_t index = task / blocks, first = task % blocks * kQueries;
    attend(s, head_of(s, ConstRows{qkv, s.stride()}, index),
           remembered_by<ConstRows>(s, memory.kv, memory.count, index, false),
           {first, std::min(s.positions, first + kQueries)},
           output_of(s, Rows{out, s.hidden()}, index).from_row(first),
           logsumexp + index * s.positions + first);
  });
}

void softmax_attention_backward(const AttentionShape& s, const float* dout, const float* qkv,
                                const AttentionMemory& memory, const float* out,
                                const float* logsumexp, float* dqkv, float* dmemory) {
  const int64_t size = 2 * memory.count * s.hidden();  // of the memory
  Scratch<> parts(s.images * size);
  for_each_task(s.images * s.heads, work_of(s), [&](int64_t index) {
    attend_backward(s, head_of(s, ConstRows{qkv, s.stride()}, index),
                    remembered_by<ConstRows>(s, memory.kv, memory.count, index, false),
                    output_of(s, ConstRows{dout, s.hidden()}, index),
                    output_of(s, ConstRows{out, s.hidden()}, index),
                    logsumexp + index * s.positions, head_of(s, Rows{dqkv, s.stride()}, index),
                    remembered_by<Rows>(s, parts.data(), memory.count, index, true));
  });
  if (size > 0) add_parts(parts.data(), s.images, size, size, dmemory);
}

}  // namespace ddpm::cpu
