// A block has as many channels as a vector has lanes, so that U of a block and one panel, for all
// positions, fills half of the first-level cache. Everything about a product but the number of its
// rows is known to the compiler: no loop in it ends at a place that the processor must guess, and
// it begins the next position while the last sums of one are on their way. A product's sums start
// at zero and are added to what was there at the end, so that a long reduction is many short chains
// of additions.
#include "ddpm/kernels/cpu/position_products.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/position_products.cpp"
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
constexpr int64_t kNr = 2 * kLanes;  // as in gemm_kernels.cpp
constexpr int64_t kBlock = kLanes > 8 ? kLanes : 8;
constexpr int64_t kBlockStride = kBlock * kNr + 16;
static_assert(kBlock <= PositionProducts::kMaxBlock);
// Rows of a register tile: eight sums cover the latency, and with AVX-512 there is room for more.
#if HWY_TARGET == HWY_AVX3
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif
static_assert(kBlock % kTileRows == 0);

template <int kRows>
HWY_INLINE void rows_tile(const float* v, const float* u, bool accumulate, float* sums) {
  const Floats d;
  Vec sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = hn::Zero(d);
#pragma GCC unroll 16
  for (int64_t c = 0; c < kBlock; ++c) {
    const Vec u0 = hn::LoadU(d, u + c * kNr), u1 = hn::LoadU(d, u + c * kNr + kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec x = hn::Set(d, v[r * kBlock + c]);
      sum[r][0] = hn::MulAdd(x, u0, sum[r][0]);
      sum[r][1] = hn::MulAdd(x, u1, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      float* to = sums + r * kNr + i * kLanes;
      hn::StoreU(accumulate ? hn::Add(hn::LoadU(d, to), sum[r][i]) : sum[r][i], d, to);
    }
  }
}

// The last rows % kTileRows of each position.
template <int kRows>
HWY_INLINE void rows_left(int64_t rows, const float* v, const float* u, bool accumulate,
                          float* sums) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      rows_tile<kRows>(v, u, accumulate, sums);
    } else {
      rows_left<kRows - 1>(rows, v, u, accumulate, sums);
    }
  }
}

void rows(int64_t positions, int64_t rows, const float* v, int64_t v_stride, const float* u,
          bool accumulate, float* sums) {
  for (int64_t p = 0; p < positions; ++p, v += v_stride, u += kBlockStride) {
    const float* from = v;
    int64_t left = rows;
    for (; left >= kTileRows; left -= kTileRows) {
      rows_tile<kTileRows>(from, u, accumulate, sums);
      from += kTileRows * kBlock;
      sums += kTileRows * kNr;
    }
    rows_left<kTileRows - 1>(left, from, u, accumulate, sums);
    sums += left * kNr;
  }
}

void columns(int64_t positions, int64_t steps, const float* v, int64_t v_stride, const float* d,
             float* s) {
  const Floats f;
  for (int64_t p = 0; p < positions; ++p, v += v_stride, d += steps * kNr, s += kBlockStride) {
    for (int64_t first = 0; first < kBlock; first += kTileRows) {
      Vec sum[kTileRows][2];
#pragma GCC unroll 8
      for (int r = 0; r < kTileRows; ++r) sum[r][0] = sum[r][1] = hn::Zero(f);
      const float *left = v + first, *right = d;
      for (int64_t t = 0; t < steps; ++t, left += kBlock, right += kNr) {
        const Vec d0 = hn::LoadU(f, right), d1 = hn::LoadU(f, right + kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kTileRows; ++r) {
          const Vec x = hn::Set(f, left[r]);
          sum[r][0] = hn::MulAdd(x, d0, sum[r][0]);
          sum[r][1] = hn::MulAdd(x, d1, sum[r][1]);
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < kTileRows; ++r) {
        float* to = s + (first + r) * kNr;
        hn::StoreU(sum[r][0], f, to);
        hn::StoreU(sum[r][1], f, to + kLanes);
      }
    }
  }
}

}  // namespace

const PositionProducts* products() {
  static constexpr PositionProducts kProducts = {kBlock, kBlockStride, rows, columns};
  return &kProducts;
}

}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(products);

const PositionProducts& position_products() { return *DDPM_SIMD_CHOOSE(products)(); }

}  // namespace ddpm::cpu
#endif
