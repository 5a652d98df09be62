// Linear attention together with its projections. q and k of a block of positions are made from x
// while it is in the cache, used and dropped; v and the attention's own output are never made. With
// a = softmax(q) / sqrt(d) and b = softmax(k), both [positions, d] for each head,
//
//   y = bias + sum over heads of a M,   M = context w_out,   context = G w_v,   G = b^T x,
//
// so that a position takes 4 hidden C multiply-adds (K = C); the operations one after another would
// take 2 hidden d more for a position. In return an image takes 2 hidden d C more.
//
// The backward pass also takes two passes over blocks with a merge between them:
//
//   from q:  dM = a^T dy, da = dy M^T, dq = softmax' (da), dx = dq w_q^T, dw_q = x^T dq
//   merge:   dcontext = dM w_out^T, dw_out = context^T dM, dG = dcontext w_v^T, dw_v = G^T dcontext
//   from k:  db = x dG^T, dk = b (db - mix), dx += b dG + dk w_k^T, dw_k = x^T dk
//
// where mix = sum over positions of b db is the inner product of a row of G with one of dG. A
// memory is one more block of keys without x: with its share P of the softmax, context = G w_v + P
// values and mix has P dP besides; all that is part of the merge. The gradients of weights are
// summed transposed, [hidden, C], so that x is the matrix that is packed; each block leaves its
// part, and parts are added in order.
#include "ddpm/kernels/cpu/attention/projected_linear_attention.h"

#include <algorithm>

#include "ddpm/kernels/cpu/attention/linear_memory.h"
#include "ddpm/kernels/cpu/attention/softmax.h"
#include "ddpm/kernels/cpu/gemm/matmul.h"
#include "ddpm/kernels/cpu/work/phases.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

// Positions in a block: 128 KiB of each of q and k with 4 heads of 32. Larger blocks need less
// packing. Small maps are cut so that two threads can share one.
int64_t block_of(int64_t positions) { return positions < 512 ? 128 : 256; }

struct Extents {
  explicit Extents(const ProjectedShape& s)
      : attention(s.attention),
        images(s.attention.images),
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

  AttentionShape attention;
  int64_t images, positions, block, blocks, channels, outputs, heads, hidden, width;
  int64_t elements;  // of q, k and v
  float scale;
};

// q, k or v: columns [which * hidden, (which + 1) * hidden) of w_qkv.
ConstRows part_of_qkv(const Extents& e, const Projections& w, int which) {
  return {w.qkv + which * e.hidden, 3 * e.hidden};
}

// x [rows, C] times w_q or w_k, to `to` [rows, hidden].
void project(const Extents& e, int64_t rows, const float* x, ConstRows w, Rows to) {
  matmul_nn({.m = rows, .n = e.hidden, .k = e.channels, .a = {x, e.channels}, .b = w, .c = to});
}

// to [columns, rows] = from [rows, columns]^T
void transpose(int64_t rows, int64_t columns, ConstRows from, float* to) {
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t i = 0; i < rows; ++i) to[j * rows + i] = from.row(i)[j];
  }
}

// context [d, d] of a head: G w_v, and the share of the memory [hidden, count] times its values.
void head_context(const Extents& e, const Projections& w, const float* gathered,
                  const float* remembered, int64_t head, float* context) {
  const int64_t D = e.width, C = e.channels;
  matmul_nn({.m = D,
             .n = D,
             .k = C,
             .a = {gathered + head * D * C, C},
             .b = part_of_qkv(e, w, 2).from_column(head * D),
             .c = {context, D}});
  if (w.memory.count > 0) add_memory_context(e.attention, w.memory, remembered, head, context);
}

// M [hidden, K] of an image: the context of each head times its rows of w_out.
void multiply_out(const Extents& e, const Projections& w, const float* gathered,
                  const float* remembered, float* combined) {
  const int64_t D = e.width, K = e.outputs;
  Scratch<> context(D * D);
  for (int64_t head = 0; head < e.heads; ++head) {
    head_context(e, w, gathered, remembered, head, context.data());
    matmul_nn({.m = D,
               .n = K,
               .k = D,
               .a = {context.data(), D},
               .b = {w.out + head * D * K, K},
               .c = {combined + head * D * K, K}});
  }
}

// to [hidden, columns] = a^T b, a [rows, hidden], b [rows, columns], all dense.
void gather(const Extents& e, int64_t rows, const float* a, const float* b, int64_t columns,
            float* to) {
  matmul_tn({.m = e.hidden,
             .n = columns,
             .k = rows,
             .a = {a, e.hidden},
             .b = {b, columns},
             .c = {to, columns}});
}

}  // namespace

void projected_linear_attention(const ProjectedShape& shape, const float* x, const Projections& w,
                                float* y, float* k_max, float* k_sum, float* gathered) {
  const Extents e(shape);
  const int64_t C = e.channels, K = e.outputs, H = e.hidden;
  const int64_t all_blocks = e.blocks + (w.memory.count > 0 ? 1 : 0);
  // Per block: maxima and sums [hidden] of k, and G [hidden, C] with the block's own maxima.
  const int64_t part_size = 2 * H + H * C;
  Scratch<> parts(e.images * all_blocks * part_size);
  Scratch<> combined(e.images * H * K);  // M
  const auto part_of = [&](int64_t n, int64_t b) {
    return parts.data() + (n * all_blocks + b) * part_size;
  };

  const auto reduce = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    const float* from = x + e.row(n, b) * C;
    float *maxima = part_of(n, b), *totals = maxima + H;
    Scratch<> scratch(rows * H);
    const Rows k = {scratch.data(), H};
    project(e, rows, from, part_of_qkv(e, w, 1), k);
    column_maxima(rows, H, k, maxima);
    column_exponentials(rows, H, k, maxima, k, totals);
    gather(e, rows, k.data, from, C, totals + H);
  };
  const auto merge = [&](int64_t n) {
    if (w.memory.count > 0) {
      float *maxima = part_of(n, e.blocks), *totals = maxima + H;
      memory_sums(e.attention, w.memory, maxima, totals);
      std::fill_n(totals + H, H * C, 0.0f);
    }
    merge_column_softmax(all_blocks, part_size, part_of(n, 0), H, C, k_max + n * H, k_sum + n * H,
                         gathered + n * H * C);
    Scratch<> remembered(H * w.memory.count);
    memory_weights(e.attention, w.memory, k_max + n * H, k_sum + n * H, remembered.data());
    multiply_out(e, w, gathered + n * H * C, remembered.data(), combined.data() + n * H * K);
  };
  const auto apply = [&](int64_t n, int64_t b) {
    const int64_t rows = e.rows(b);
    Scratch<> scratch(rows * H);
    const Rows q = {scratch.data(), H};
    project(e, rows, x + e.row(n, b) * C, part_of_qkv(e, w, 0), q);
    softmax_heads(rows, e.heads, e.width, e.scale, q, q);
    matmul_nn({.m = rows,
               .n = K,
               .k = H,
               .a = q,
               .b = {combined.data() + n * H * K, K},
               .c = {y + e.row(n, b) * K, K},
               .bias = w.bias});
  };
  for_each_image_in_phases(e.images, e.blocks, e.elements, reduce, merge, apply);
}

namespace {

// The backward pass: from_q for every block of an image, then merge, then from_k for every block,
// and at last add_up.
class Backward {
 public:
  Backward(const Extents& extents, const float* dy, const float* x, const Projections& w,
           const float* k_max, const float* k_sum, const float* gathered, float* dx);
  void from_q(int64_t n, int64_t b);
  void merge(int64_t n);
  void from_k(int64_t n, int64_t b);
  // Gradients of weights, from the parts of all blocks and images.
  void add_up(const ProjectedGradients& gradients);

 private:
  // What the passes over an image read.
  struct Image {
    float* combined;              // M^T [K, hidden]
    float* dgathered;             // dG [hidden, C]
    float* dgathered_transposed;  // dG^T [C, hidden]
    float* mix;                   // [hidden]
    float* inverse;               // 1 / k_sum [hidden]
    float* remembered;            // the memory's share of the softmax [hidden, count]
  };
  Image image(int64_t n) {
    float* combined = images_.data() + n * image_floats();
    float *dgathered = combined + H_ * K_, *transposed = dgathered + H_ * C_;
    float* mix = transposed + H_ * C_;
    return {combined, dgathered, transposed, mix, mix + H_, mix + 2 * H_};
  }
  int64_t image_floats() const { return H_ * (K_ + 2 * C_ + 2 + w_.memory.count); }

  // A block's part of dw_q and dw_k [2 hidden, C] and dbias [K]; of dM [hidden, K].
  int64_t block_floats() const { return 2 * H_ * C_ + K_; }
  float* block_part(int64_t n, int64_t b) {
    return block_parts_.data() + e_.part(n, b) * block_floats();
  }
  float* combined_part(int64_t n, int64_t b) {
    return combined_parts_.data() + e_.part(n, b) * H_ * K_;
  }
  // An image's part of dw_v [hidden, C], dw_out [hidden, K] and dmemory [2, hidden, count].
  int64_t image_part_floats() const { return H_ * (C_ + K_ + 2 * w_.memory.count); }
  float* memory_part(int64_t n) { return image_part(n) + H_ * (C_ + K_); }
  float* image_part(int64_t n) { return image_parts_.data() + n * image_part_floats(); }

  void merge_head(int64_t n, int64_t head, const float* dcombined, float* context, float* dcontext);
  // dx of a block = a [rows, hidden] b [hidden, C]; where add, it is added to what dx holds.
  void to_x(int64_t n, int64_t b, ConstRows a, const float* weights, bool add) {
    matmul_nn({.m = e_.rows(b),
               .n = C_,
               .k = H_,
               .a = a,
               .b = {weights, C_},
               .c = {dx_ + e_.row(n, b) * C_, C_},
               .accumulate = add});
  }

  const Extents e_;
  const int64_t C_, K_, D_, H_;
  const float *dy_, *x_;
  const Projections w_;
  const float *k_max_, *k_sum_, *gathered_;
  float* dx_;
  Scratch<> w_transposed_;  // w_q and w_k, [2 hidden, C]
  Scratch<> block_parts_, combined_parts_, image_parts_, images_;
};

Backward::Backward(const Extents& extents, const float* dy, const float* x, const Projections& w,
                   const float* k_max, const float* k_sum, const float* gathered, float* dx)
    : e_(extents),
      C_(e_.channels),
      K_(e_.outputs),
      D_(e_.width),
      H_(e_.hidden),
      dy_(dy),
      x_(x),
      w_(w),
      k_max_(k_max),
      k_sum_(k_sum),
      gathered_(gathered),
      dx_(dx),
      w_transposed_(2 * H_ * C_),
      block_parts_(e_.images * e_.blocks * block_floats()),
      combined_parts_(e_.images * e_.blocks * H_ * K_),
      image_parts_(e_.images * image_part_floats()),
      images_(e_.images * image_floats()) {
  transpose(C_, 2 * H_, part_of_qkv(e_, w_, 0), w_transposed_.data());
  for_each_task(e_.images, e_.images * H_ * D_ * (C_ + K_), [&](int64_t n) {
    Scratch<> combined(H_ * K_);
    const Image to = image(n);
    memory_weights(e_.attention, w_.memory, k_max_ + n * H_, k_sum_ + n * H_, to.remembered);
    multiply_out(e_, w_, gathered_ + n * H_ * C_, to.remembered, combined.data());
    transpose(H_, K_, {combined.data(), K_}, to.combined);
  });
}

void Backward::from_q(int64_t n, int64_t b) {
  const int64_t rows = e_.rows(b);
  const float *in = x_ + e_.row(n, b) * C_, *grad = dy_ + e_.row(n, b) * K_;
  Scratch<> scratch(2 * rows * H_);
  const Rows a = {scratch.data(), H_}, da = a.from_row(rows);
  project(e_, rows, in, part_of_qkv(e_, w_, 0), a);
  softmax_heads(rows, e_.heads, D_, e_.scale, a, a);
  gather(e_, rows, a.data, grad, K_, combined_part(n, b));
  matmul_nn({.m = rows, .n = H_, .k = K_, .a = {grad, K_}, .b = {image(n).combined, H_}, .c = da});
  softmax_heads_gradient(rows, e_.heads, D_, e_.scale, a, da, da);
  to_x(n, b, da, w_transposed_.data(), false);
  gather(e_, rows, da.data, in, C_, block_part(n, b));
  column_sums(rows, K_, {grad, K_}, block_part(n, b) + 2 * H_ * C_);
}

void Backward::merge(int64_t n) {
  const Image to = image(n);
  float* dcombined = combined_part(n, 0);
  for (int64_t b = 1; b < e_.blocks; ++b) {
    const float* part = combined_part(n, b);
    for (int64_t i = 0; i < H_ * K_; ++i) dcombined[i] += part[i];
  }
  Scratch<> scratch(2 * D_ * D_);
  for (int64_t head = 0; head < e_.heads; ++head) {
    merge_head(n, head, dcombined + head * D_ * K_, scratch.data(), scratch.data() + D_ * D_);
  }
  transpose(H_, C_, {to.dgathered, C_}, to.dgathered_transposed);
  row_products(H_, C_, {gathered_ + n * H_ * C_, C_}, {to.dgathered, C_}, to.mix);
  if (const int64_t count = w_.memory.count; count > 0) {
    float* dkeys = memory_part(n);  // the gradient of the memory's share until now
    add_memory_mix(e_.attention, count, to.remembered, dkeys, to.mix);
    memory_keys_gradient(e_.attention, count, to.remembered, dkeys, to.mix, dkeys);
  }
  for (int64_t c = 0; c < H_; ++c) to.inverse[c] = 1 / k_sum_[n * H_ + c];
}

// dcombined: dM [d, K] of the head; context and dcontext [d, d]: scratch.
void Backward::merge_head(int64_t n, int64_t head, const float* dcombined, float* context,
                          float* dcontext) {
  const ConstRows dM = {dcombined, K_}, c = {context, D_}, dc = {dcontext, D_};
  const float* gathered = gathered_ + n * H_ * C_;
  const ConstRows w_v = part_of_qkv(e_, w_, 2).from_column(head * D_);
  const ConstRows w_out = {w_.out + head * D_ * K_, K_}, G = {gathered + head * D_ * C_, C_};
  float *dvalues = image_part(n), *dout = dvalues + H_ * C_;
  const Rows dw_v = {dvalues + head * D_ * C_, C_}, dw_out = {dout + head * D_ * K_, K_};
  const Rows dG = {image(n).dgathered + head * D_ * C_, C_};
  head_context(e_, w_, gathered, image(n).remembered, head, context);
  matmul_nt({.m = D_, .n = D_, .k = K_, .a = dM, .b = w_out, .c = {dcontext, D_}});
  matmul_tn({.m = D_, .n = K_, .k = D_, .a = c, .b = dM, .c = dw_out});
  matmul_tn({.m = D_, .n = C_, .k = D_, .a = dc, .b = G, .c = dw_v});
  matmul_nt({.m = D_, .n = C_, .k = D_, .a = dc, .b = w_v, .c = dG});
  if (const int64_t count = w_.memory.count; count > 0) {
    memory_context_gradient(e_.attention, w_.memory, image(n).remembered, head, dcontext,
                            memory_part(n) + H_ * count, memory_part(n));
  }
}

void Backward::from_k(int64_t n, int64_t b) {
  const int64_t rows = e_.rows(b);
  const Image from = image(n);
  const float* in = x_ + e_.row(n, b) * C_;
  Scratch<> scratch(2 * rows * H_);
  const Rows soft = {scratch.data(), H_}, dk = soft.from_row(rows);
  project(e_, rows, in, part_of_qkv(e_, w_, 1), soft);
  column_softmax(rows, H_, soft, k_max_ + n * H_, from.inverse, soft);
  to_x(n, b, soft, from.dgathered, true);
  matmul_nn(
      {.m = rows, .n = H_, .k = C_, .a = {in, C_}, .b = {from.dgathered_transposed, H_}, .c = dk});
  column_softmax_gradient(rows, H_, soft, dk, from.mix, dk);
  to_x(n, b, dk, w_transposed_.data() + H_ * C_, true);
  gather(e_, rows, dk.data, in, C_, block_part(n, b) + H_ * C_);
}

void Backward::add_up(const ProjectedGradients& gradients) {
  Scratch<> totals(block_floats() + image_part_floats());
  float *of_blocks = totals.data(), *of_images = of_blocks + block_floats();
  add_parts(block_parts_.data(), e_.images * e_.blocks, block_floats(), block_floats(), of_blocks);
  add_parts(image_parts_.data(), e_.images, image_part_floats(), image_part_floats(), of_images);
  for (int64_t c = 0; c < C_; ++c) {
    float* row = gradients.dw_qkv + c * 3 * H_;
    for (int64_t i = 0; i < 2 * H_; ++i) row[i] = of_blocks[i * C_ + c];
    for (int64_t i = 0; i < H_; ++i) row[2 * H_ + i] = of_images[i * C_ + c];
  }
  std::copy_n(of_images + H_ * C_, H_ * K_, gradients.dw_out);
  if (gradients.dmemory) {
    std::copy_n(of_images + H_ * (C_ + K_), 2 * H_ * w_.memory.count, gradients.dmemory);
  }
  std::copy_n(of_blocks + 2 * H_ * C_, K_, gradients.dbias);
}

}  // namespace

void projected_linear_attention_backward(const ProjectedShape& shape, const float* dy,
                                         const float* x, const Projections& w, const float* k_max,
                                         const float* k_sum, const float* gathered,
                                         const ProjectedGradients& gradients) {
  const Extents e(shape);
  Backward pass(e, dy, x, w, k_max, k_sum, gathered, gradients.dx);
  for_each_image_in_phases(
      e.images, e.blocks, e.elements, [&](int64_t n, int64_t b) { pass.from_q(n, b); },
      [&](int64_t n) { pass.merge(n); }, [&](int64_t n, int64_t b) { pass.from_k(n, b); });
  pass.add_up(gradients);
}

}  // namespace ddpm::cpu
