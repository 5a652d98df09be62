// A position's channels lie together, so one pass over memory is enough: its norm is taken while
// the row stays in the first cache level. g, FiLM and sqrt(C) are one scale and one shift for each
// channel of an image. The sums over positions of the backward pass are taken in float32 for each
// block of rows and merged in double in a fixed order.
#include "ddpm/kernels/cpu/norm/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "ddpm/kernels/cpu/norm/column_norm.h"
#include "ddpm/kernels/cpu/work/tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/norm/rms_norm.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

constexpr float kLeastNorm = 1e-12f;
constexpr int kRowsAtOnce = 4;  // the steps of one row's sum wait for each other

// |x| of kRows rows, in all lanes.
template <int kRows>
HWY_INLINE void norms_of(const float* x, int64_t columns, Vec* norms) {
  Vec squares[kRows];
  for (int r = 0; r < kRows; ++r) squares[r] = hn::Zero(Floats());
  for_each_vector(columns, [&](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
    for (int r = 0; r < kRows; ++r) {
      const Vec value = lanes.load(x + r * columns + c);
      squares[r] = hn::MulAdd(value, value, squares[r]);
    }
  });
  for (int r = 0; r < kRows; ++r) norms[r] = hn::Sqrt(hn::SumOfLanes(Floats(), squares[r]));
}

HWY_INLINE Vec inverse_of(Vec norm) { return hn::Div(set(1), at_least(norm, kLeastNorm)); }

// y = act(x / |x| scale + shift) + residual.
template <bool kSilu, bool kAdd, int kRows>
HWY_INLINE void normalize_some(const float* x, int64_t columns, const float* scale,
                               const float* shift, const float* residual, float* y) {
  Vec norms[kRows];
  norms_of<kRows>(x, columns, norms);
  for (int r = 0; r < kRows; ++r) {
    const Vec inverse = inverse_of(norms[r]);
    const float *from = x + r * columns, *rest = kAdd ? residual + r * columns : nullptr;
    float* to = y + r * columns;
    for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
      const Vec h = hn::Mul(lanes.load(from + c), inverse);
      const Vec u = hn::MulAdd(h, lanes.load(scale + c), lanes.load(shift + c));
      const Vec result = kSilu ? silu(u) : u;
      lanes.store(kAdd ? hn::Add(result, lanes.load(rest + c)) : result, to + c);
    });
  }
}

template <bool kSilu, bool kAdd>
void normalize_of(const float* x, int64_t rows, int64_t columns, const float* scale,
                  const float* shift, const float* residual, float* y) {
  int64_t r = 0;
  const auto at = [&](const float* p) HWY_ATTR { return kAdd ? p + r * columns : nullptr; };
  for (; r + kRowsAtOnce <= rows; r += kRowsAtOnce) {
    normalize_some<kSilu, kAdd, kRowsAtOnce>(x + r * columns, columns, scale, shift, at(residual),
                                             y + r * columns);
  }
  for (; r < rows; ++r) {
    normalize_some<kSilu, kAdd, 1>(x + r * columns, columns, scale, shift, at(residual),
                                   y + r * columns);
  }
}

void normalize(bool silu, const float* x, int64_t rows, int64_t columns, const float* scale,
               const float* shift, const float* residual, float* y) {
  const auto run = silu ? (residual ? normalize_of<true, true> : normalize_of<true, false>)
                        : (residual ? normalize_of<false, true> : normalize_of<false, false>);
  run(x, rows, columns, scale, shift, residual, y);
}

// With h = x / |x|, u = h scale + shift and du = dy act'(u): dx = (du scale - h sum(du scale h)) /
// |x|; adds du h and du to product and sum. Where |x| is below kLeastNorm it counts as a constant.
template <bool kSilu>
HWY_INLINE void pass_back(const float* dy, const float* x, Vec norm, int64_t columns,
                          const float* scale, const float* shift, float* dx, float* product,
                          float* sum) {
  const Vec inverse = inverse_of(norm);
  Vec inner = hn::Zero(Floats());
  for_each_vector(columns, [&](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
    const Vec h = hn::Mul(lanes.load(x + c), inverse), a = lanes.load(scale + c);
    Vec du = lanes.load(dy + c);
    if (kSilu) du = hn::Mul(du, silu_slope(hn::MulAdd(h, a, lanes.load(shift + c))));
    lanes.store(hn::MulAdd(du, h, lanes.load(product + c)), product + c);
    lanes.store(hn::Add(du, lanes.load(sum + c)), sum + c);
    const Vec dh = hn::Mul(du, a);
    lanes.store(dh, dx + c);
    inner = hn::MulAdd(dh, h, inner);
  });
  const Vec whole = hn::SumOfLanes(Floats(), inner);
  const Vec mix = hn::IfThenElse(hn::Lt(norm, set(kLeastNorm)), hn::Zero(Floats()), whole);
  for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
    const Vec h = hn::Mul(lanes.load(x + c), inverse);
    lanes.store(hn::Mul(inverse, hn::NegMulAdd(h, mix, lanes.load(dx + c))), dx + c);
  });
}

template <bool kSilu>
void gradient_of(const float* dy, const float* x, int64_t rows, int64_t columns, const float* scale,
                 const float* shift, float* dx, float* product, float* sum) {
  for (int64_t c = 0; c < columns; ++c) product[c] = sum[c] = 0;
  for (int64_t first = 0; first < rows; first += kRowsAtOnce) {
    Vec norms[kRowsAtOnce];
    const int64_t left = rows - first, count = left < kRowsAtOnce ? left : kRowsAtOnce;
    if (count == kRowsAtOnce) {
      norms_of<kRowsAtOnce>(x + first * columns, columns, norms);
    } else {
      for (int64_t r = 0; r < count; ++r)
        norms_of<1>(x + (first + r) * columns, columns, norms + r);
    }
    for (int64_t r = 0; r < count; ++r) {
      const int64_t at = (first + r) * columns;
      pass_back<kSilu>(dy + at, x + at, norms[r], columns, scale, shift, dx + at, product, sum);
    }
  }
}

void gradient(bool silu, const float* dy, const float* x, int64_t rows, int64_t columns,
              const float* scale, const float* shift, float* dx, float* product, float* sum) {
  const auto run = silu ? gradient_of<true> : gradient_of<false>;
  run(dy, x, rows, columns, scale, shift, dx, product, sum);
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(normalize);
DDPM_SIMD_TABLE(gradient);

namespace {

constexpr int64_t kCost = 8;  // of an element, in multiply-adds

struct Extents {
  explicit Extents(const RmsNorm& norm)
      : images(norm.images),
        positions(norm.positions),
        channels(norm.channels),
        block(column_block_rows(channels)),
        blocks(ceil_div(positions, block)) {}
  int64_t rows(int64_t b) const { return std::min(block, positions - b * block); }
  // Where block b of image n begins.
  int64_t at(int64_t n, int64_t b) const { return (n * positions + b * block) * channels; }
  int64_t work() const { return kCost * images * positions * channels; }

  int64_t images, positions, channels, block, blocks;
};

// Of every image: scale and shift, [2, C].
void make_affine(const RmsNorm& norm, float* to) {
  const int64_t C = norm.channels;
  const double root = std::sqrt(static_cast<double>(C));
  for (int64_t n = 0; n < norm.images; ++n) {
    const float* film = norm.film ? norm.film + 2 * n * C : nullptr;
    float* scale = to + 2 * n * C;
    for (int64_t c = 0; c < C; ++c) {
      scale[c] = static_cast<float>(root * norm.g[c] * (film ? double{film[c]} + 1 : 1));
      scale[C + c] = film ? film[C + c] : 0;
    }
  }
}

}  // namespace

void rms_norm(const RmsNorm& norm, const float* x, const float* residual, float* y) {
  const Extents e(norm);
  Scratch<> affines(e.images * 2 * e.channels);
  make_affine(norm, affines.data());
  const auto kernel = DDPM_SIMD_CHOOSE(normalize);
  for_each_task(e.images * e.blocks, e.work(), [&](int64_t task) {
    const int64_t n = task / e.blocks, b = task % e.blocks, at = e.at(n, b);
    const float* scale = affines.data() + 2 * n * e.channels;
    kernel(norm.silu, x + at, e.rows(b), e.channels, scale, scale + e.channels,
           residual ? residual + at : nullptr, y + at);
  });
}

void rms_norm_backward(const RmsNorm& norm, const float* dy, const float* x,
                       const RmsNormGradients& gradients) {
  const Extents e(norm);
  const int64_t C = e.channels;
  Scratch<> affines(e.images * 2 * C);
  Scratch<> parts(e.images * e.blocks * 2 * C);  // of sums over positions of du h and of du
  make_affine(norm, affines.data());
  const auto kernel = DDPM_SIMD_CHOOSE(gradient);
  for_each_task(e.images * e.blocks, 2 * e.work(), [&](int64_t task) {
    const int64_t n = task / e.blocks, b = task % e.blocks, at = e.at(n, b);
    const float* scale = affines.data() + 2 * n * C;
    float* part = parts.data() + task * 2 * C;
    kernel(norm.silu, dy + at, x + at, e.rows(b), C, scale, scale + C, gradients.dx + at, part,
           part + C);
  });
  const double root = std::sqrt(static_cast<double>(C));
  Scratch<double> totals(C);  // of dg
  std::fill_n(totals.data(), C, 0.0);
  for (int64_t n = 0; n < e.images; ++n) {
    const float* film = norm.film ? norm.film + 2 * n * C : nullptr;
    for (int64_t c = 0; c < C; ++c) {
      double product = 0, sum = 0;
      for (int64_t b = 0; b < e.blocks; ++b) {
        const float* part = parts.data() + (n * e.blocks + b) * 2 * C;
        product += part[c];
        sum += part[C + c];
      }
      product *= root;
      totals.data()[c] += product * (film ? double{film[c]} + 1 : 1);
      if (!film) continue;
      gradients.dfilm[2 * n * C + c] = static_cast<float>(product * norm.g[c]);
      gradients.dfilm[(2 * n + 1) * C + c] = static_cast<float>(sum);
    }
  }
  for (int64_t c = 0; c < C; ++c) gradients.dg[c] = static_cast<float>(totals.data()[c]);
}

}  // namespace ddpm::cpu
#endif
