// Each 2-D transform is a 1-D transform (transforms-inl.h) of every row, then of every column, one
// vector of channels at a time. Between the two, the tile is in a few lines of the first-level
// cache.
//
// The compiler knows where each number of U and S is. With strides that are known only at run time,
// their transforms would take twice the time. In the products, only the end of the loop over tiles
// must be predicted, and the products of one position begin before the last sums of the previous
// one are complete. So even a few channels at a time reach 93 % of the multipliers' peak. S has
// gaps between its positions; without them, the positions of one channel would share a few sets of
// the cache. U needs no gaps, because it is used in order.
#include "ddpm/kernels/cpu/winograd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/winograd/kernels.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/gemm/register_tile-inl.h"
#include "ddpm/kernels/cpu/winograd/transforms-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

constexpr int64_t kNr = 2 * kLanes;                  // as in gemm_kernels.cpp
constexpr int64_t kBlock = kLanes > 8 ? kLanes : 8;  // channels
// The products of all blocks of a slab are summed in registers. With AVX-512 the products of one
// block are so fast that writing their sums would take a fifth of the time.
constexpr int kSlab = kLanes > 8 ? 4 : 1;
// The distance between positions of U, for so many blocks. With AVX-512 it is one row more: 36
// lines whose distance is a power of two would share a few sets of the cache.
constexpr int64_t u_stride(int64_t blocks) {
  return blocks * kBlock * kNr + (kLanes > 8 ? kNr : 0);
}
constexpr int64_t kGradientStride = kBlock * kNr + 16;
// Rows of a register tile: eight sums cover the latency, and with AVX-512 there is room for more.
#if HWY_TARGET == HWY_AVX3
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif
static_assert(kBlock % kTileRows == 0);

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
void input(const float* const* pixels, const float* const* next, int64_t offset, int64_t channels,
           float* v, int64_t stride, int64_t block_stride) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t count = channels - c, at = offset + c;
    float* to = v + c / kBlock * block_stride + c % kBlock;
    const auto line = [](const Vec(&in)[kA], Vec(&out)[kA])
                          HWY_ATTR { Transform<kM>::input(in, out); };
    const auto store = [&](int i, int j, Vec value)
                           HWY_ATTR { hn::StoreU(value, d, to + (i * kA + j) * stride); };
    if (count >= kLanes) {
      transform_tile<kA, kA>(
          line,
          [&](int i, int j) HWY_ATTR {
            if (j >= 2) __builtin_prefetch(next[i * kA + j] + at);
            return hn::LoadU(d, pixels[i * kA + j] + at);
          },
          store);
    } else {
      transform_tile<kA, kA>(
          line, [&](int i, int j) HWY_ATTR { return load_some(pixels[i * kA + j] + at, count); },
          store);
    }
  }
}

template <int kM>
void output(const float* sums, int64_t stride, int64_t panel_stride, int64_t columns,
            const float* bias, float* const* pixels, int64_t offset) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t k = 0; k < columns; k += kLanes) {
    const int64_t count = columns - k;
    const Vec shift = bias ? load_some(bias + k, count) : hn::Zero(d);
    const float* from = sums + k / kNr * panel_stride + k % kNr;
    transform_tile<kA, kM>(
        [](const Vec(&in)[kA], Vec(&out)[kM]) HWY_ATTR { Transform<kM>::output(in, out); },
        [&](int i, int j) HWY_ATTR { return hn::LoadU(d, from + (i * kA + j) * stride); },
        [&](int i, int j, Vec value) HWY_ATTR {
          float* to = pixels[i * kM + j];
          if (to) store_some(hn::Add(value, shift), count, to + offset + k);
        });
  }
}

enum class Scale { kNone, kColumns, kRows };

template <int kM, Scale kScale, int kBlocks>
void weights_scaled(const float* taps, int64_t tap_stride, int64_t depth,
                    const WeightScaling& scaling, float* u) {
  constexpr int kA = kM + 2;
  constexpr int64_t kStride = u_stride(kBlocks);
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
      transform_tile<3, kA>([](const Vec(&in)[3], Vec(&out)[kA])
                                HWY_ATTR { Transform<kM>::weights(in, out); },
                            [&](int i, int j) HWY_ATTR {
                              const Vec w = hn::LoadU(d, from + (i * 3 + j) * tap_stride);
                              return kScale == Scale::kNone ? w : hn::Mul(hn::Sub(w, mean), rstd);
                            },
                            [&](int i, int j, Vec value)
                                HWY_ATTR { hn::StoreU(value, d, to + (i * kA + j) * kStride); });
    }
  }
}

template <int kM, int kBlocks = kSlab>
void weights(const float* taps, int64_t tap_stride, int64_t depth, const WeightScaling& scaling,
             float* u) {
  if constexpr (kBlocks > 1) {
    if (depth <= (kBlocks - 1) * kBlock) {
      return weights<kM, kBlocks - 1>(taps, tap_stride, depth, scaling, u);
    }
  }
  const auto run = scaling.mean == nullptr ? weights_scaled<kM, Scale::kNone, kBlocks>
                   : scaling.by_row        ? weights_scaled<kM, Scale::kRows, kBlocks>
                                           : weights_scaled<kM, Scale::kColumns, kBlocks>;
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
void block_gradient(const float* sums, int64_t rows, float* taps, int64_t tap_stride,
                    int64_t row_stride) {
  constexpr int kA = kM + 2;
  const Floats d;
  for (int64_t c = 0; c < rows; ++c) {
    for (int64_t k = 0; k < kNr; k += kLanes) {
      const float* from = sums + c * kNr + k;
      float* to = taps + c * row_stride + k;
      transform_tile<kA, 3>([](const Vec(&in)[kA], Vec(&out)[3])
                                HWY_ATTR { Transform<kM>::weights_gradient(in, out); },
                            [&](int i, int j) HWY_ATTR {
                              return hn::LoadU(d, from + (i * kA + j) * kGradientStride);
                            },
                            [&](int i, int j, Vec value)
                                HWY_ATTR { hn::StoreU(value, d, to + (i * 3 + j) * tap_stride); });
    }
  }
}

// sums[r] = sum[r], rows kNr apart; where accumulate, it is added to what they hold.
template <int kRows>
HWY_INLINE void write_sums(const Vec (&sum)[kRows][2], bool accumulate, float* sums) {
  const Floats d;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      float* to = sums + r * kNr + i * kLanes;
      hn::StoreU(accumulate ? hn::Add(hn::LoadU(d, to), sum[r][i]) : sum[r][i], d, to);
    }
  }
}

// Sums start at zero and are added to the earlier ones at the end. So a long reduction is many
// shorter chains of additions, whose error is smaller.
template <int kRows, bool kStream>
HWY_INLINE void multiply_tile(int64_t blocks, const float* v, int64_t v_step, const float* u,
                              bool accumulate, float* sums) {
  constexpr int64_t kAhead = 2048, kLine = 16;
  Vec sum[kRows][2];
  clear(sum);
  for (int64_t b = 0; b < blocks; ++b, v += v_step, u += kBlock * kNr) {
#pragma GCC unroll 16
    for (int64_t c = 0; c < kBlock; ++c) {
#pragma GCC unroll 2
      for (int64_t i = 0; kStream && i < kNr; i += kLine) {
        __builtin_prefetch(u + kAhead + c * kNr + i);
      }
      add_products([&](int r) DDPM_SIMD_LAMBDA { return v[r * kBlock + c]; }, u + c * kNr, sum);
    }
  }
  write_sums(sum, accumulate, sums);
}

template <bool kStream, int kRows = kTileRows>
HWY_INLINE void multiply_rows(int64_t rows, int64_t blocks, const float* v, int64_t v_step,
                              const float* u, bool accumulate, float* sums) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      multiply_tile<kRows, kStream>(blocks, v, v_step, u, accumulate, sums);
    } else {
      multiply_rows<kStream, kRows - 1>(rows, blocks, v, v_step, u, accumulate, sums);
    }
  }
}

template <int kM>
void multiply(int64_t tiles, int64_t blocks, const float* v, int64_t v_stride, int64_t v_step,
              const float* u, bool stream, bool accumulate, float* sums, int64_t sums_stride) {
  const int64_t groups = (tiles + kTileRows - 1) / kTileRows;
  const int64_t rows = tiles / groups, larger = tiles % groups, stride = u_stride(blocks);
  for (int p = 0; p < (kM + 2) * (kM + 2); ++p, v += v_stride, u += stride, sums += sums_stride) {
    const float* from = v;
    float* to = sums;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t now = rows + (g < larger);
      if (stream && g == 0) {
        multiply_rows<true>(now, blocks, from, v_step, u, accumulate, to);
      } else {
        multiply_rows<false>(now, blocks, from, v_step, u, accumulate, to);
      }
      from += now * kBlock;
      to += now * kNr;
    }
  }
}

// S of kTileRows channels and a panel at one position.
HWY_INLINE void multiply_gradient_tile(int64_t tiles, const float* v, const float* d,
                                       bool accumulate, float* s) {
  constexpr int64_t kSteps = 8;
  Vec sum[kTileRows][2];
  clear(sum);
  const auto step = [&](int64_t t) HWY_ATTR {
    const float* row = v + t * kBlock;
    add_products([&](int r) DDPM_SIMD_LAMBDA { return row[r]; }, d + t * kNr, sum);
  };
  for (; tiles >= kSteps; tiles -= kSteps, v += kSteps * kBlock, d += kSteps * kNr) {
#pragma GCC unroll 8
    for (int64_t t = 0; t < kSteps; ++t) step(t);
  }
  for (int64_t t = 0; t < tiles; ++t) step(t);
  write_sums(sum, accumulate, s);
}

template <int kM>
void multiply_gradient(int64_t tiles, const GradientBlocks& v, const GradientBlocks& d,
                       bool accumulate, float* s) {
  constexpr int64_t kSize = (kM + 2) * (kM + 2) * kGradientStride;
  for (int64_t p = 0; p < (kM + 2) * (kM + 2); ++p) {
    for (int64_t i = 0; i < v.count; ++i) {
      for (int64_t j = 0; j < d.count; ++j) {
        float* to = s + (i * d.count + j) * kSize + p * kGradientStride;
        for (int64_t r = 0; r < kBlock; r += kTileRows) {
          multiply_gradient_tile(tiles, v.data + i * v.step + p * v.stride + r,
                                 d.data + j * d.step + p * d.stride, accumulate, to + r * kNr);
        }
      }
    }
  }
}

template <int kM>
int64_t u_size(int64_t blocks) {
  return (kM + 2) * (kM + 2) * u_stride(blocks);
}

template <int kM>
constexpr WinogradKernels kernels_of() {
  return {.block = kBlock,
          .slab = kSlab,
          .gradient_size = (kM + 2) * (kM + 2) * kGradientStride,
          .u_size = u_size<kM>,
          .input = input<kM>,
          .weights = weights<kM>,
          .multiply = multiply<kM>,
          .output = output<kM>,
          .output_gradient = output_gradient<kM>,
          .multiply_gradient = multiply_gradient<kM>,
          .block_gradient = block_gradient<kM>};
}

}  // namespace

const WinogradKernels* transforms(int64_t m) {
  static constexpr WinogradKernels kTwo = kernels_of<2>(), kFour = kernels_of<4>();
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
