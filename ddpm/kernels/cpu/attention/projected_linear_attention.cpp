// Linear attention together with its projections. q and k of a block of positions are made from x
// while it is in the cache and forgotten; v and the attention's own output are never made. With a =
// softmax(q) / sqrt(d) and b = softmax(k), both [positions, d] for each head,
//
//   y = bias + sum over heads of a M,   M = context w_out,   context = G w_v,   G = b^T x,
//
// so that a position takes 4 hidden C multiply-adds (K = C), where the operations one after another
// take 2 hidden d more; in return an image takes 2 hidden d C more.
//
// Backward, likewise in two passes over blocks with a merge between them:
//
//   from q:  dM = a^T dy, da = dy M^T, dq = softmax' (da), dx = dq w_q^T, dw_q = x^T dq
//   merge:   dcontext = dM w_out^T, dw_out = context^T dM, dG = dcontext w_v^T, dw_v = G^T dcontext
//   from k:  db = x dG^T, dk = b (db - mix), dx += b dG + dk w_k^T, dw_k = x^T dk
//
// where mix = sum over positions of b db is the inner product of a row of G with one of dG. The
// gradients of weights are summed transposed, [hidden, C], so that x is the matrix that is packed;
// each block leaves its part, and parts are added in order.
#include "ddpm/kernels/cpu/attention/projected_linear_attention.h"

#include <algorithm>
#include <cmath>

#include "ddpm/kernels/cpu/attention/softmax.h"
#include "ddpm/kernels/cpu/gemm/matmul.h"
#include "ddpm/kernels/cpu/work/phases.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

// Positions at a time: 128 KiB of each of q and k with 4 heads of 32. The larger the block, the
// less is packed; small maps are cut so that two threads can share one.
int64_t block_of(int64_t positions) { return positions < 512 ? 128 : 256; }

struct Extents {
  explicit Extents(const ProjectedShape& s)
      : images(s.attention.images),
        positions(s.attention.positions),
        block(block_of(positions)),
        blocks(ceil_div(positions, block)),
        channels(s.channels),
        outputs(s.outputs),
        heads(s.attention.heads),
        hidden(s.attention.hidden()),
        width(s.attention.width),
        elements(s.attention.elements()),
        scale(s.attention.scale()) {}
  int64_t rows(int64_t b) const { return std::min(block, positions - b * block); }
  int64_t row(int64_t n, int64_t b) const { return n * positions + b * block; }
  int64_t part(int64_t n, int64_t b) const { return n * blocks + b; }

  int64_t images, positions, block, blocks, channels, outputs, heads, hidden, width;
  int64_t elements;  // of q, k and v
  float scale;
};

constexpr int64_t bytes_of(int64_t floats) { return floats * static_cast<int64_t>(sizeof(float)); }

// q, k or v: columns [which * hidden, (which + 1) * hidden) of w_qkv, from `column` on.
ConstRows part_of_qkv(const Extents& e, const Projections& w, int which, int64_t column = 0) {
  return {w.qkv + which * e.hidden + column, 3 * e.hidden};
}

// x [rows, C] times w_q or w_k.
void project(const Extents& e, int64_t rows, const float* x, ConstRows w, float* to) {
  matmul_nn({.m = rows,
             .n = e.hidden,
             .k = e.channels,
             .a = x,
             .a_stride = e.channels,
             .b = w.data,
             .b_stride = w.stride,
             .c = to,
             .c_stride = e.hidden});
}

// to [columns, rows] = from [rows, columns]^T
void transpose(int64_t rows, int64_t columns, ConstRows from, float* to) {
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t i = 0; i < rows; ++i) to[j * rows + i] = from.data[i * from.stride + j];
  }
}

// context [d, d] of a head: G w_v.
void head_context(const Extents& e, const Projections& w, const float* gathered, int64_t head,
                  float* context) {
  const ConstRows values = part_of_qkv(e, w, 2, head * e.width);
  matmul_nn({.m = e.width,
             .n = e.width,
             .k = e.channels,
             .a = gathered + head * e.width * e.channels,
             .a_stride = e.channels,
             .b = values.data,
             .b_stride = values.stride,
             .c = context,
             .c_stride = e.width});
}

// M [hidden, K] of an image: the context of each head times its rows of w_out.
void multiply_out(const Extents& e, const Projections& w, const float* gathered, float* combined) {
  const int64_t D = e.width, K = e.outputs;
  Scratch context(bytes_of(D * D));
  for (int64_t head = 0; head < e.heads; ++head) {
    head_context(e, w, gathered, head, context.as<float>());
    matmul_nn({.m = D,
               .n = K,
               .k = D,
               .a = context.as<float>(),
               .a_stride = D,
               .b = w.out + head * D * K,
               .b_stride = K,
               .c = combined + head * D * K,
               .c_stride = K});
  }
}

}  // namespace

void projected_linear_attention(const ProjectedShape& shape, const float* x, const Projections& w,
                                float* y, float* k_max, float* k_sum, float* gathered) {
  const Extents e(shape);
  const int64_t C = e.channels, K = e.outputs, D = e.width;
  // Per block: maxima and sums [hidden] of k, G [hidden, C], under the block's own maxima.
  const int64_t part_size = 2 * e.hidden + e.hidden * C;
  Scratch parts(bytes_of(e.images * e.blocks * part_size));
  Scratch combined(bytes_of(e.images * e.hidden * K));  // M
  const auto part_of = [&](int64_t n, int64_t b) {
    return parts.as<float>() + e.part(n, b) * part_size;
  };

  const auto reduce = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const float* from = x + e.row(n, b) * C;
    float *maxima = part_of(n, b), *totals = maxima + e.hidden;
    Scratch scratch(bytes_of(rows * e.hidden));
    const Rows k = {scratch.as<float>(), e.hidden};
    project(e, rows, from, part_of_qkv(e, w, 1), k.data);
    column_maxima(rows, e.hidden, {k.data, k.stride}, maxima);
    column_exponentials(rows, e.hidden, {k.data, k.stride}, maxima, k, totals);
    matmul_tn({.m = e.hidden,
               .n = C,
               .k = rows,
               .a = k.data,
               .a_stride = k.stride,
               .b = from,
               .b_stride = C,
               .c = totals + e.hidden,
               .c_stride = C});
  };
  const auto merge = [&](int64_t n) {
    float* image_gathered = gathered + n * e.hidden * C;
    merge_column_softmax(e.blocks, part_size, part_of(n, 0), e.hidden, C, k_max + n * e.hidden,
                         k_sum + n * e.hidden, image_gathered);
    multiply_out(e, w, image_gathered, combined.as<float>() + n * e.hidden * K);
  };
  const auto apply = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    Scratch scratch(bytes_of(rows * e.hidden));
    const Rows q = {scratch.as<float>(), e.hidden};
    project(e, rows, x + e.row(n, b) * C, part_of_qkv(e, w, 0), q.data);
    softmax_heads(rows, e.heads, D, e.scale, {q.data, q.stride}, q);
    matmul_nn({.m = rows,
               .n = K,
               .k = e.hidden,
               .a = q.data,
               .a_stride = q.stride,
               .b = combined.as<float>() + n * e.hidden * K,
               .b_stride = K,
               .c = y + e.row(n, b) * K,
               .c_stride = K,
               .bias = w.bias});
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements, reduce, merge, apply);
}

void projected_linear_attention_backward(const ProjectedShape& shape, const float* dy,
                                         const float* x, const Projections& w, const float* k_max,
                                         const float* k_sum, const float* gathered,
                                         const ProjectedGradients& gradients) {
  const Extents e(shape);
  const int64_t C = e.channels, K = e.outputs, D = e.width, H = e.hidden;
  // w_q and w_k transposed, [2 hidden, C].
  Scratch transposed(bytes_of(2 * H * C));
  transpose(C, 2 * H, part_of_qkv(e, w, 0), transposed.as<float>());
  const float *w_q = transposed.as<float>(), *w_k = w_q + H * C;
  // Parts of the sums over blocks and over images. Of a block: dw_q and dw_k [2 hidden, C], dbias;
  // of an image: dw_v [hidden, C], dw_out [hidden, K].
  const int64_t block_size = 2 * H * C + K, image_size = H * (C + K);
  Scratch block_parts(bytes_of(e.images * e.blocks * block_size));
  Scratch image_parts(bytes_of(e.images * image_size));
  Scratch combined_parts(bytes_of(e.images * e.blocks * H * K));  // dM
  const auto block_part = [&](int64_t n, int64_t b) {
    return block_parts.as<float>() + e.part(n, b) * block_size;
  };
  const auto combined_part = [&](int64_t n, int64_t b) {
    return combined_parts.as<float>() + e.part(n, b) * H * K;
  };
  // What each image's passes read: M^T [K, hidden], dG [hidden, C], dG^T [C, hidden], mix and 1 /
  // k_sum.
  const int64_t kept_size = H * (K + 2 * C + 2);
  Scratch kept(bytes_of(e.images * kept_size));
  struct Kept {
    float *combined, *dgathered, *dgathered_transposed, *mix, *inverse;
  };
  const auto kept_of = [&](int64_t n) {
    float* at = kept.as<float>() + n * kept_size;
    return Kept{at, at + H * K, at + H * (K + C), at + H * (K + 2 * C), at + H * (K + 2 * C + 1)};
  };
  for_each_task(e.images, e.images * H * D * (C + K), [&](int64_t n) {
    Scratch combined(bytes_of(H * K));
    multiply_out(e, w, gathered + n * H * C, combined.as<float>());
    transpose(H, K, {combined.as<float>(), K}, kept_of(n).combined);
  });
  // to [rows, C] (+)= a [rows, hidden] b [hidden, C]
  const auto to_x = [&](int64_t rows, const float* a, const float* b, bool accumulate, float* to) {
    matmul_nn({.m = rows,
               .n = C,
               .k = H,
               .a = a,
               .a_stride = H,
               .b = b,
               .b_stride = C,
               .c = to,
               .c_stride = C,
               .accumulate = accumulate});
  };
  // to [hidden, columns] = a^T b, a [rows, hidden], b [rows, columns]
  const auto gather = [&](int64_t rows, const float* a, const float* b, int64_t columns,
                          float* to) {
    matmul_tn({.m = H,
               .n = columns,
               .k = rows,
               .a = a,
               .a_stride = H,
               .b = b,
               .b_stride = columns,
               .c = to,
               .c_stride = columns});
  };

  const auto from_q = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const float *in = x + e.row(n, b) * C, *grad = dy + e.row(n, b) * K;
    Scratch scratch(bytes_of(2 * rows * H));
    const Rows a = {scratch.as<float>(), H}, da = {a.data + rows * H, H};
    project(e, rows, in, part_of_qkv(e, w, 0), a.data);
    softmax_heads(rows, e.heads, D, e.scale, {a.data, H}, a);
    gather(rows, a.data, grad, K, combined_part(n, b));
    matmul_nn({.m = rows,
               .n = H,
               .k = K,
               .a = grad,
               .a_stride = K,
               .b = kept_of(n).combined,
               .b_stride = H,
               .c = da.data,
               .c_stride = H});
    softmax_heads_gradient(rows, e.heads, D, e.scale, {a.data, H}, {da.data, H}, da);
    to_x(rows, da.data, w_q, false, gradients.dx + e.row(n, b) * C);
    gather(rows, da.data, in, C, block_part(n, b));
    column_sums(rows, K, {grad, K}, block_part(n, b) + 2 * H * C);
  };
  const auto merge = [&](int64_t n) {
    const Kept to = kept_of(n);
    const float* image_gathered = gathered + n * H * C;
    float *dvalues = image_parts.as<float>() + n * image_size, *dout = dvalues + H * C;
    float* dcombined = combined_part(n, 0);
    for (int64_t b = 1; b < e.blocks; ++b) {
      const float* part = combined_part(n, b);
      for (int64_t i = 0; i < H * K; ++i) dcombined[i] += part[i];
    }
    Scratch scratch(bytes_of(2 * D * D));
    float *context = scratch.as<float>(), *dcontext = context + D * D;
    for (int64_t head = 0; head < e.heads; ++head) {
      const ConstRows values = part_of_qkv(e, w, 2, head * D);
      const float *head_dcombined = dcombined + head * D * K,
                  *head_gathered = image_gathered + head * D * C;
      head_context(e, w, image_gathered, head, context);
      matmul_nt({.m = D,
                 .n = D,
                 .k = K,
                 .a = head_dcombined,
                 .a_stride = K,
                 .b = w.out + head * D * K,
                 .b_stride = K,
                 .c = dcontext,
                 .c_stride = D});
      matmul_tn({.m = D,
                 .n = K,
                 .k = D,
                 .a = context,
                 .a_stride = D,
                 .b = head_dcombined,
                 .b_stride = K,
                 .c = dout + head * D * K,
                 .c_stride = K});
      matmul_tn({.m = D,
                 .n = C,
                 .k = D,
                 .a = dcontext,
                 .a_stride = D,
                 .b = head_gathered,
                 .b_stride = C,
                 .c = dvalues + head * D * C,
                 .c_stride = C});
      matmul_nt({.m = D,
                 .n = C,
                 .k = D,
                 .a = dcontext,
                 .a_stride = D,
                 .b = values.data,
                 .b_stride = values.stride,
                 .c = to.dgathered + head * D * C,
                 .c_stride = C});
    }
    transpose(H, C, {to.dgathered, C}, to.dgathered_transposed);
    row_products(H, C, {image_gathered, C}, {to.dgathered, C}, to.mix);
    for (int64_t c = 0; c < H; ++c) to.inverse[c] = 1 / k_sum[n * H + c];
  };
  const auto from_k = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const Kept image = kept_of(n);
    const float* in = x + e.row(n, b) * C;
    float* to = gradients.dx + e.row(n, b) * C;
    Scratch scratch(bytes_of(2 * rows * H));
    const Rows soft = {scratch.as<float>(), H}, dk = {soft.data + rows * H, H};
    project(e, rows, in, part_of_qkv(e, w, 1), soft.data);
    column_softmax(rows, H, {soft.data, H}, k_max + n * H, image.inverse, soft);
    to_x(rows, soft.data, image.dgathered, true, to);
    matmul_nn({.m = rows,
               .n = H,
               .k = C,
               .a = in,
               .a_stride = C,
               .b = image.dgathered_transposed,
               .b_stride = H,
               .c = dk.data,
               .c_stride = H});
    column_softmax_gradient(rows, H, {soft.data, H}, {dk.data, H}, image.mix, dk);
    to_x(rows, dk.data, w_k, true, to);
    gather(rows, dk.data, in, C, block_part(n, b) + H * C);
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements, from_q, merge, from_k);

  Scratch totals(bytes_of(block_size + image_size));
  float *block_total = totals.as<float>(), *image_total = block_total + block_size;
  add_parts(block_parts.as<float>(), e.images * e.blocks, block_size, block_size, block_total);
  add_parts(image_parts.as<float>(), e.images, image_size, image_size, image_total);
  for (int64_t c = 0; c < C; ++c) {
    float* row = gradients.dw_qkv + c * 3 * H;
    for (int64_t i = 0; i < 2 * H; ++i) row[i] = block_total[i * C + c];
    for (int64_t i = 0; i < H; ++i) row[2 * H + i] = image_total[i * C + c];
  }
  std::copy_n(image_total + H * C, H * K, gradients.dw_out);
  std::copy_n(block_total + 2 * H * C, K, gradients.dbias);
}

}  // namespace ddpm::cpu
