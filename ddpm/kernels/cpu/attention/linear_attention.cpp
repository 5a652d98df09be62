// Linear attention in two passes over blocks of positions. Forward, the first pass computes k^T v
// of each block with the block's own maxima of k. The merge rescales the blocks to common maxima,
// and the second pass multiplies the softmax of q by the context. A memory is one more block of
// keys, the same for every image. Backward, the first pass reads only q and dout and gives dq and
// the context's gradient; the second reads k and v. Softmaxes are computed again; nothing of the
// size of the image is stored.
#include "ddpm/kernels/cpu/attention/linear_attention.h"

#include <algorithm>

#include "ddpm/kernels/cpu/attention/linear_memory.h"
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

// q, k and v of a block, or their gradients; each [rows, hidden].
template <class Matrix>
struct Block {
  Matrix q, k, v;
};
template <class Matrix>
Block<Matrix> block_of(const Extents& e, Matrix qkv, int64_t n, int64_t b) {
  const Matrix q = qkv.from_row(e.row(n, b));
  return {q, q.from_column(e.hidden), q.from_column(2 * e.hidden)};
}

// Products of each head's columns of a and b [rows, hidden] and its matrix of context [heads,
// width, width].

// context = a^T b.
void gather_context(const Extents& e, int64_t rows, ConstRows a, ConstRows b, float* context) {
  const int64_t D = e.width;
  for (int64_t h = 0; h < e.heads; ++h) {
    matmul_tn({.m = D,
               .n = D,
               .k = rows,
               .a = a.from_column(h * D),
               .b = b.from_column(h * D),
               .c = {context + h * D * D, D}});
  }
}

// b = a context, or a context^T where transposed.
void through_context(const Extents& e, int64_t rows, ConstRows a, const float* context,
                     bool transposed, Rows b) {
  const int64_t D = e.width;
  const auto multiply = transposed ? matmul_nt : matmul_nn;
  for (int64_t h = 0; h < e.heads; ++h) {
    multiply({.m = rows,
              .n = D,
              .k = D,
              .a = a.from_column(h * D),
              .b = {context + h * D * D, D},
              .c = b.from_column(h * D)});
  }
}

// The part of linear_attention() that a memory is.
void memory_part(const Extents& e, const AttentionShape& shape, const AttentionMemory& memory,
                 float* part) {
  float *maxima = part, *sums = maxima + e.hidden, *context = sums + e.hidden;
  Scratch<> scratch(e.hidden * (memory.count + 1));
  float *weights = scratch.data(), *ones = weights + e.hidden * memory.count;
  memory_sums(shape, memory, maxima, sums);
  std::fill_n(ones, e.hidden, 1.0f);
  memory_weights(shape, memory, maxima, ones, weights);
  std::fill_n(context, e.context, 0.0f);
  for (int64_t h = 0; h < e.heads; ++h) {
    add_memory_context(shape, memory, weights, h, context + h * e.width * e.width);
  }
}

// The gradient of a memory by one image, from the gradient of the image's context.
void memory_gradient(const Extents& e, const AttentionShape& shape, const AttentionMemory& memory,
                     const float* k_max, const float* k_sum, const float* dcontext,
                     const float* mix, float* dmemory) {
  float *dkeys = dmemory, *dvalues = dkeys + e.hidden * memory.count;
  Scratch<> weights(e.hidden * memory.count);
  memory_weights(shape, memory, k_max, k_sum, weights.data());
  for (int64_t h = 0; h < e.heads; ++h) {
    memory_context_gradient(shape, memory, weights.data(), h, dcontext + h * e.width * e.width,
                            dvalues, dkeys);
  }
  memory_keys_gradient(shape, memory.count, weights.data(), dkeys, mix, dkeys);
}

}  // namespace

void linear_attention(const AttentionShape& shape, const float* qkv, const AttentionMemory& memory,
                      float* out, float* context, float* k_max, float* k_sum) {
  const Extents e(shape);
  const int64_t all_blocks = e.blocks + (memory.count > 0 ? 1 : 0);
  // Per block: maxima and sums [hidden] of k, context [heads, width, width].
  const int64_t part_size = 2 * e.hidden + e.context;
  Scratch<> parts(e.images * all_blocks * part_size);
  const auto part_of = [&](int64_t n, int64_t b) {
    return parts.data() + (n * all_blocks + b) * part_size;
  };

  const auto reduce = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const Block in = block_of(e, ConstRows{qkv, e.stride}, n, b);
    float *maxima = part_of(n, b), *sums = maxima + e.hidden;
    Scratch<> scratch(rows * e.hidden);
    const Rows exponentials = {scratch.data(), e.hidden};
    column_maxima(rows, e.hidden, in.k, maxima);
    column_exponentials(rows, e.hidden, in.k, maxima, exponentials, sums);
    gather_context(e, rows, exponentials, in.v, sums + e.hidden);
  };
  const auto merge = [&](int64_t n) {
    if (memory.count > 0) memory_part(e, shape, memory, part_of(n, e.blocks));
    merge_column_softmax(all_blocks, part_size, part_of(n, 0), e.hidden, e.width,
                         k_max + n * e.hidden, k_sum + n * e.hidden, context + n * e.context);
  };
  const auto apply = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const Block in = block_of(e, ConstRows{qkv, e.stride}, n, b);
    Scratch<> scratch(rows * e.hidden);
    const Rows soft_q = {scratch.data(), e.hidden};
    softmax_heads(rows, e.heads, e.width, e.scale, in.q, soft_q);
    through_context(e, rows, soft_q, context + n * e.context, false,
                    {out + e.row(n, b) * e.hidden, e.hidden});
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements, reduce, merge, apply);
}

// With a = softmax(q) / sqrt(d) and b = softmax(k): da = dout context^T, dcontext = a^T dout, dv =
// b dcontext, db = v dcontext^T; dq = a (da - sum_d a da sqrt(d)) and dk = b (db - mix), where mix
// = sum_n b db is the inner product of a row of the context with one of its gradient.
void linear_attention_backward(const AttentionShape& shape, const float* dout, const float* qkv,
                               const AttentionMemory& memory, const float* context,
                               const float* k_max, const float* k_sum, float* dqkv,
                               float* dmemory) {
  const Extents e(shape);
  const int64_t memory_size = 2 * e.hidden * memory.count;
  Scratch<> memory_parts(e.images * memory_size);
  Scratch<> parts(e.images * e.blocks * e.context);         // of dcontext
  Scratch<> totals(e.images * (e.context + 2 * e.hidden));  // dcontext, mix, 1 / k_sum
  const auto part_of = [&](int64_t n, int64_t b) {
    return parts.data() + (n * e.blocks + b) * e.context;
  };
  const auto total_of = [&](int64_t n) { return totals.data() + n * (e.context + 2 * e.hidden); };

  const auto reduce = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const ConstRows grad = {dout + e.row(n, b) * e.hidden, e.hidden};
    Scratch<> scratch(2 * rows * e.hidden);
    const Rows a = {scratch.data(), e.hidden}, da = a.from_row(rows);
    softmax_heads(rows, e.heads, e.width, e.scale, block_of(e, ConstRows{qkv, e.stride}, n, b).q,
                  a);
    through_context(e, rows, grad, context + n * e.context, true, da);
    gather_context(e, rows, a, grad, part_of(n, b));
    softmax_heads_gradient(rows, e.heads, e.width, e.scale, a, da,
                           block_of(e, Rows{dqkv, e.stride}, n, b).q);
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
      for (int64_t i = 0; i < e.width; ++i) {
        sum += double{dcontext[c * e.width + i]} * contexts[c * e.width + i];
      }
      mix[c] = static_cast<float>(sum);
      inverse[c] = 1 / k_sum[n * e.hidden + c];
    }
    if (memory.count == 0) return;
    memory_gradient(e, shape, memory, k_max + n * e.hidden, k_sum + n * e.hidden, dcontext, mix,
                    memory_parts.data() + n * memory_size);
  };
  const auto apply = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const Block in = block_of(e, ConstRows{qkv, e.stride}, n, b);
    const Block to = block_of(e, Rows{dqkv, e.stride}, n, b);  // may be `in`
    const float *dcontext = total_of(n), *mix = dcontext + e.context, *inverse = mix + e.hidden;
    Scratch<> scratch(2 * rows * e.hidden);
    const Rows soft_k = {scratch.data(), e.hidden}, db = soft_k.from_row(rows);
    column_softmax(rows, e.hidden, in.k, k_max + n * e.hidden, inverse, soft_k);
    through_context(e, rows, in.v, dcontext, true, db);
    through_context(e, rows, soft_k, dcontext, false, to.v);
    column_softmax_gradient(rows, e.hidden, soft_k, db, mix, to.k);
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements, reduce, merge, apply);
  if (memory_size > 0) add_parts(memory_parts.data(), e.images, memory_size, memory_size, dmemory);
}

}  // namespace ddpm::cpu
