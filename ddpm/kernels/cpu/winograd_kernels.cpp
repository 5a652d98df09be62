// Each 2-D transform is a 1-D transform of every row, then of every column, one vector of channels
// at a time; between the two the tile lies in a few lines of the first-level cache. F(4)
// interpolates at 0, +-0.625, +-1.5 and infinity, not at the textbook's 0, +-1, +-2: same number of
// operations, half the rounding error. The 1-D transforms pair the points of opposite sign, so that
// B takes 12 multiply-adds, and are written out because that is what the matrices come to:
//   row of A^T for power j: p^j; row of G for point p: (1, p, p^2) / product of (p - q) over the
//   other finite points q; row of B^T for point p: the coefficients of the product of (x - q);
//   infinity takes the highest power.
#include "ddpm/kernels/cpu/winograd_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/winograd_kernels.cpp"
#include "ddpm/kernels/cpu/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vec = hn::Vec<Floats>;
constexpr int64_t kLanes = HWY_LANES(float);
constexpr int64_t kNr = 2 * kLanes;                  // as in gemm_kernels.cpp
constexpr int64_t kBlock = kLanes > 8 ? kLanes : 8;  // as in position_products.cpp, and so is
constexpr int64_t kBlockStride = kBlock * kNr + 16;

HWY_INLINE Vec constant(double value) { return hn::Set(Floats(), static_cast<float>(value)); }

template <int kM>
struct Transform;

template <>
struct Transform<2> {  // points 0, 1, -1, infinity
  static HWY_INLINE void input(const Vec (&d)[4], Vec (&t)[4]) {
    t[0] = hn::Sub(d[2], d[0]);
    t[1] = hn::Add(d[1], d[2]);
    t[2] = hn::Sub(d[2], d[1]);
    t[3] = hn::Sub(d[3], d[1]);
  }
  static HWY_INLINE void output(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = hn::Add(m[0], hn::Add(m[1], m[2]));
    y[1] = hn::Add(hn::Sub(m[1], m[2]), m[3]);
  }
  static HWY_INLINE void output_gradient(const Vec (&y)[2], Vec (&t)[4]) {
    t[0] = y[0];
    t[1] = hn::Add(y[0], y[1]);
    t[2] = hn::Sub(y[0], y[1]);
    t[3] = y[1];
  }
  static HWY_INLINE void weights(const Vec (&g)[3], Vec (&t)[4]) {
    const Vec half = constant(0.5);
    const Vec even = hn::Mul(half, hn::Add(g[0], g[2])), odd = hn::Mul(half, g[1]);
    t[0] = hn::Neg(g[0]);
    t[1] = hn::Add(even, odd);
    t[2] = hn::Sub(even, odd);
    t[3] = g[2];
  }
  static HWY_INLINE void weights_gradient(const Vec (&s)[4], Vec (&g)[3]) {
    const Vec half = constant(0.5);
    const Vec even = hn::Mul(half, hn::Add(s[1], s[2]));
    g[0] = hn::Sub(even, s[0]);
    g[1] = hn::Mul(half, hn::Sub(s[1], s[2]));
    g[2] = hn::Add(even, s[3]);
  }
};

template <>
struct Transform<4> {  // points 0, a, -a, b, -b, infinity
  static constexpr double kA = 0.625, kB = 1.5;
  static constexpr double kAA = kA * kA, kBB = kB * kB;
  static constexpr double kScale0 = 1 / (kAA * kBB);
  static constexpr double kScaleA = 1 / (2 * kAA * (kAA - kBB));
  static constexpr double kScaleB = 1 / (2 * kBB * (kBB - kAA));

  static HWY_INLINE void input(const Vec (&d)[6], Vec (&t)[6]) {
    const Vec aabb = constant(kAA * kBB), sum = constant(kAA + kBB);
    const Vec aa = constant(kAA), bb = constant(kBB), a = constant(kA), b = constant(kB);
    t[0] = hn::MulAdd(aabb, d[0], hn::NegMulAdd(sum, d[2], d[4]));
    t[5] = hn::MulAdd(aabb, d[1], hn::NegMulAdd(sum, d[3], d[5]));
    const Vec even_a = hn::NegMulAdd(bb, d[2], d[4]), odd_a = hn::NegMulAdd(bb, d[1], d[3]);
    t[1] = hn::MulAdd(a, odd_a, even_a);
    t[2] = hn::NegMulAdd(a, odd_a, even_a);
    const Vec even_b = hn::NegMulAdd(aa, d[2], d[4]), odd_b = hn::NegMulAdd(aa, d[1], d[3]);
    t[3] = hn::MulAdd(b, odd_b, even_b);
    t[4] = hn::NegMulAdd(b, odd_b, even_b);
  }
  static HWY_INLINE void output(const Vec (&m)[6], Vec (&y)[4]) {
    const Vec even_a = hn::Add(m[1], m[2]), odd_a = hn::Sub(m[1], m[2]);
    const Vec even_b = hn::Add(m[3], m[4]), odd_b = hn::Sub(m[3], m[4]);
    y[0] = hn::Add(m[0], hn::Add(even_a, even_b));
    y[1] = hn::MulAdd(constant(kB), odd_b, hn::Mul(constant(kA), odd_a));
    y[2] = hn::MulAdd(constant(kBB), even_b, hn::Mul(constant(kAA), even_a));
    y[3] = hn::MulAdd(constant(kBB * kB), odd_b, hn::MulAdd(constant(kAA * kA), odd_a, m[5]));
  }
  static HWY_INLINE void output_gradient(const Vec (&y)[4], Vec (&t)[6]) {
    const Vec even_a = hn::MulAdd(constant(kAA), y[2], y[0]);
    const Vec odd_a = hn::MulAdd(constant(kAA * kA), y[3], hn::Mul(constant(kA), y[1]));
    const Vec even_b = hn::MulAdd(constant(kBB), y[2], y[0]);
    const Vec odd_b = hn::MulAdd(constant(kBB * kB), y[3], hn::Mul(constant(kB), y[1]));
    t[0] = y[0];
    t[1] = hn::Add(even_a, odd_a);
    t[2] = hn::Sub(even_a, odd_a);
    t[3] = hn::Add(even_b, odd_b);
    t[4] = hn::Sub(even_b, odd_b);
    t[5] = y[3];
  }
  static HWY_INLINE void weights(const Vec (&g)[3], Vec (&t)[6]) {
    const Vec even_a = hn::MulAdd(constant(kScaleA * kAA), g[2], hn::Mul(constant(kScaleA), g[0]));
    const Vec even_b = hn::MulAdd(constant(kScaleB * kBB), g[2], hn::Mul(constant(kScaleB), g[0]));
    const Vec odd_a = constant(kScaleA * kA), odd_b = constant(kScaleB * kB);
    t[0] = hn::Mul(constant(kScale0), g[0]);
    t[1] = hn::MulAdd(odd_a, g[1], even_a);
    t[2] = hn::NegMulAdd(odd_a, g[1], even_a);
    t[3] = hn::MulAdd(odd_b, g[1], even_b);
    t[4] = hn::NegMulAdd(odd_b, g[1], even_b);
    t[5] = g[2];
  }
  static HWY_INLINE void weights_gradient(const Vec (&s)[6], Vec (&g)[3]) {
    const Vec even_a = hn::Add(s[1], s[2]), odd_a = hn::Sub(s[1], s[2]);
    const Vec even_b = hn::Add(s[3], s[4]), odd_b = hn::Sub(s[3], s[4]);
    g[0] = hn::MulAdd(constant(kScaleB), even_b,
                      hn::MulAdd(constant(kScaleA), even_a, hn::Mul(constant(kScale0), s[0])));
    g[1] = hn::MulAdd(constant(kScaleB * kB), odd_b, hn::Mul(constant(kScaleA * kA), odd_a));
    g[2] = hn::MulAdd(constant(kScaleB * kBB), even_b,
                      hn::MulAdd(constant(kScaleA * kAA), even_a, s[5]));
  }
};

// out = T in T^T for a square tile, T one of the 1-D transforms from kFrom to kTo values.
// load(i, j) gives the tile, store(i, j, value) takes the result.
template <int kFrom, int kTo, class Line, class Load, class Store>
HWY_INLINE void transform_tile(const Line& line, const Load& load, const Store& store) {
  Vec half[kTo][kFrom];
#pragma GCC unroll 6
  for (int j = 0; j < kFrom; ++j) {
    Vec in[kFrom], out[kTo];
#pragma GCC unroll 6
    for (int i = 0; i < kFrom; ++i) in[i] = load(i, j);
    line(in, out);
#pragma GCC unroll 6
    for (int i = 0; i < kTo; ++i) half[i][j] = out[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < kTo; ++i) {
    Vec out[kTo];
    line(half[i], out);
#pragma GCC unroll 6
    for (int j = 0; j < kTo; ++j) store(i, j, out[j]);
  }
}

// count >= kLanes: the whole vector; else its first count lanes and zeros.
HWY_INLINE Vec load_some(const float* from, int64_t count) {
  const Floats d;
  if (count >= kLanes) return hn::LoadU(d, from);
  return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, from);
}

HWY_INLINE void store_some(Vec value, int64_t count, float* to) {
  const Floats d;
  if (count >= kLanes) {
    hn::StoreU(value, d, to);
  } else {
    hn::BlendedStore(value, hn::FirstN(d, static_cast<size_t>(count)), d, to);
  }
}

template <int kM>
void input(const float* const* pixels, int64_t channels, float* v, int64_t stride) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t count = channels - c;
    const auto line = [](const Vec(&in)[kA], Vec(&out)[kA])
                          HWY_ATTR { Transform<kM>::input(in, out); };
    const auto store = [&](int i, int j, Vec value)
                           HWY_ATTR { hn::StoreU(value, d, v + (i * kA + j) * stride + c); };
    if (count >= kLanes) {
      transform_tile<kA, kA>(
          line, [&](int i, int j) HWY_ATTR { return hn::LoadU(d, pixels[i * kA + j] + c); }, store);
    } else {
      transform_tile<kA, kA>(
          line, [&](int i, int j) HWY_ATTR { return load_some(pixels[i * kA + j] + c, count); },
          store);
    }
  }
}

template <int kM>
void output(const float* sums, int64_t stride, int64_t columns, const float* bias,
            float* const* pixels) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t k = 0; k < columns; k += kLanes) {
    const int64_t count = columns - k;
    const Vec shift = bias ? load_some(bias + k, count) : hn::Zero(d);
    transform_tile<kA, kM>(
        [](const Vec(&in)[kA], Vec(&out)[kM]) HWY_ATTR { Transform<kM>::output(in, out); },
        [&](int i, int j) HWY_ATTR { return hn::LoadU(d, sums + (i * kA + j) * stride + k); },
        [&](int i, int j, Vec value) HWY_ATTR {
          float* to = pixels[i * kM + j];
          if (to) store_some(hn::Add(value, shift), count, to + k);
        });
  }
}

enum class Scale { kNone, kColumns, kRows };

template <int kM, Scale kScale>
void weights_scaled(const float* const* taps, int64_t row_stride, int64_t depth, int64_t columns,
                    const WeightScaling& scaling, float* u, int64_t position_stride,
                    int64_t channel_stride) {
  constexpr int kA = kM + 2;
  constexpr int64_t kAhead = 8;
  const Floats d;
  const auto line = [](const Vec(&in)[3], Vec(&out)[kA])
                        HWY_ATTR { Transform<kM>::weights(in, out); };
  for (int64_t c = 0; c < depth; ++c) {
    // Rows lie too far apart for the hardware to see them coming.
#pragma GCC unroll 9
    for (int tap = 0; tap < 9; ++tap) {
      __builtin_prefetch(taps[tap] + (c + kAhead) * row_stride);
    }
    for (int64_t k = 0; k < kNr; k += kLanes) {
      const int64_t count = HWY_MAX(columns - k, 0), at = c * row_stride + k;
      Vec mean = hn::Zero(d), rstd = hn::Zero(d);
      if (kScale == Scale::kRows) {
        mean = hn::Set(d, scaling.mean[c]);
        rstd = hn::Set(d, scaling.rstd[c]);
      } else if (kScale == Scale::kColumns && count > 0) {
        mean = load_some(scaling.mean + k, count);
        rstd = load_some(scaling.rstd + k, count);
      }
      const auto scaled = [&](Vec w) HWY_ATTR {
        return kScale == Scale::kNone ? w : hn::Mul(hn::Sub(w, mean), rstd);
      };
      const auto store = [&](int i, int j, Vec value) HWY_ATTR {
        hn::StoreU(value, d, u + (i * kA + j) * position_stride + c * channel_stride + k);
      };
      if (count >= kLanes) {
        transform_tile<3, kA>(
            line, [&](int i, int j) HWY_ATTR { return scaled(hn::LoadU(d, taps[i * 3 + j] + at)); },
            store);
      } else {
        transform_tile<3, kA>(
            line,
            [&](int i, int j) HWY_ATTR {
              return count > 0 ? scaled(load_some(taps[i * 3 + j] + at, count)) : hn::Zero(d);
            },
            store);
      }
    }
  }
}

template <int kM>
void weights(const float* const* taps, int64_t row_stride, int64_t depth, int64_t columns,
             const WeightScaling& scaling, float* u, int64_t position_stride,
             int64_t channel_stride) {
  const auto run = scaling.mean == nullptr ? weights_scaled<kM, Scale::kNone>
                   : scaling.by_row        ? weights_scaled<kM, Scale::kRows>
                                           : weights_scaled<kM, Scale::kColumns>;
  run(taps, row_stride, depth, columns, scaling, u, position_stride, channel_stride);
}

// As weights_scaled, but where each number lies is known to the compiler, which makes twice the
// speed.
template <int kM, Scale kScale>
void block_weights_scaled(const float* taps, int64_t tap_stride, int64_t depth,
                          const WeightScaling& scaling, float* u) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t c = 0; c < depth; ++c) {
    for (int64_t k = 0; k < kNr; k += kLanes) {
      Vec mean = hn::Zero(d), rstd = hn::Zero(d);
      if (kScale == Scale::kRows) {
        mean = hn::Set(d, scaling.mean[c]);
        rstd = hn::Set(d, scaling.rstd[c]);
      } else if (kScale == Scale::kColumns) {
        mean = hn::LoadU(d, scaling.mean + k);
        rstd = hn::LoadU(d, scaling.rstd + k);
      }
      const float* from = taps + c * kNr + k;
      float* to = u + c * kNr + k;
      transform_tile<3, kA>(
          [](const Vec(&in)[3], Vec(&out)[kA]) HWY_ATTR { Transform<kM>::weights(in, out); },
          [&](int i, int j) HWY_ATTR {
            const Vec w = hn::LoadU(d, from + (i * 3 + j) * tap_stride);
            return kScale == Scale::kNone ? w : hn::Mul(hn::Sub(w, mean), rstd);
          },
          [&](int i, int j, Vec value)
              HWY_ATTR { hn::StoreU(value, d, to + (i * kA + j) * kBlockStride); });
    }
  }
}

template <int kM>
void block_weights(const float* taps, int64_t tap_stride, int64_t depth,
                   const WeightScaling& scaling, float* u) {
  const auto run = scaling.mean == nullptr ? block_weights_scaled<kM, Scale::kNone>
                   : scaling.by_row        ? block_weights_scaled<kM, Scale::kRows>
                                           : block_weights_scaled<kM, Scale::kColumns>;
  run(taps, tap_stride, depth, scaling, u);
}

template <int kM>
void output_gradient(const float* const* pixels, int64_t columns, float* to, int64_t stride,
                     int64_t panel_stride, float* sums) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t first = 0; first < columns; first += kNr, to += panel_stride) {
    for (int64_t k = 0; k < kNr; k += kLanes) {
      const int64_t count = columns - first - k;
      Vec total = hn::Zero(d);
      transform_tile<kM, kA>(
          [](const Vec(&in)[kM], Vec(&out)[kA])
              HWY_ATTR { Transform<kM>::output_gradient(in, out); },
          [&](int i, int j) HWY_ATTR {
            const Vec value =
                count > 0 ? load_some(pixels[i * kM + j] + first + k, count) : hn::Zero(d);
            total = hn::Add(total, value);
            return value;
          },
          [&](int i, int j, Vec value)
              HWY_ATTR { hn::StoreU(value, d, to + (i * kA + j) * stride + k); });
      if (sums) {
        hn::StoreU(hn::Add(hn::LoadU(d, sums + first + k), total), d, sums + first + k);
      }
    }
  }
}

template <int kM>
void weights_gradient(const float* sums, int64_t stride, int64_t columns, float* const* taps) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t k = 0; k < columns; k += kLanes) {
    const int64_t count = columns - k;
    transform_tile<kA, 3>(
        [](const Vec(&in)[kA], Vec(&out)[3]) HWY_ATTR { Transform<kM>::weights_gradient(in, out); },
        [&](int i, int j) HWY_ATTR { return hn::LoadU(d, sums + (i * kA + j) * stride + k); },
        [&](int i, int j, Vec value) HWY_ATTR { store_some(value, count, taps[i * 3 + j] + k); });
  }
}

template <int kM>
void block_gradient(const float* sums, int64_t rows, float* taps, int64_t tap_stride,
                    int64_t row_stride) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t c = 0; c < rows; ++c) {
    for (int64_t k = 0; k < kNr; k += kLanes) {
      const float* from = sums + c * kNr + k;
      float* to = taps + c * row_stride + k;
      transform_tile<kA, 3>(
          [](const Vec(&in)[kA], Vec(&out)[3])
              HWY_ATTR { Transform<kM>::weights_gradient(in, out); },
          [&](int i, int j) HWY_ATTR { return hn::LoadU(d, from + (i * kA + j) * kBlockStride); },
          [&](int i, int j, Vec value)
              HWY_ATTR { hn::StoreU(value, d, to + (i * 3 + j) * tap_stride); });
    }
  }
}

}  // namespace

const WinogradKernels* transforms(int64_t m) {
  static constexpr WinogradKernels kTwo = {
      input<2>,           output<2>,           weights<2>,       block_weights<2>,
      output_gradient<2>, weights_gradient<2>, block_gradient<2>};
  static constexpr WinogradKernels kFour = {
      input<4>,           output<4>,           weights<4>,       block_weights<4>,
      output_gradient<4>, weights_gradient<4>, block_gradient<4>};
  return m == 2 ? &kTwo : &kFour;
}

}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(transforms);

const WinogradKernels& winograd_kernels(int64_t m) { return *DDPM_SIMD_CHOOSE(transforms)(m); }

}  // namespace ddpm::cpu
#endif
