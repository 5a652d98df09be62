// Micro-kernels of matrix products. A tile keeps mr x 2 vectors of outputs in registers: 6 x 2 of
// 16 registers with AVX2, 8 x 2 of 32 with AVX-512. Each step of the reduction then takes 2 vector
// loads and mr broadcasts for 2 mr fused multiply-adds, and the multipliers are the limit. AVX-512
// has room for more rows, but not for their pointers: 12 rows take 1.5 times as long as 8.
//
// The right matrix comes in panels [depth][nr]. The left one is read where it lies, through row
// pointers (products and convolutions) or through one pointer for each reduction step (transposed
// products). Each output is one chain of additions in the order of the reduction. Tails use the
// same chain with fewer rows or masked columns, so the bits of an output do not depend on its place
// in a tile.
#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/gemm/gemm_kernels.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/gemm/register_tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX3
constexpr int kMr = 8;
constexpr int64_t kDepth = 192;
#elif HWY_TARGET == HWY_AVX2
constexpr int kMr = 6;
constexpr int64_t kDepth = 256;
#else
constexpr int kMr = 4;
constexpr int64_t kDepth = 256;
#endif
constexpr int64_t kNr = 2 * kLanes;
constexpr int64_t kLine = 16;  // floats of a cache line
// Rows that are prefetched while rows are packed: they are too far apart for the processor to
// predict.
constexpr int64_t kRowsAhead = 16;
static_assert(kMr <= kMaxTileRows && kDepth <= kMaxDepth && kDepth * kNr <= kMaxPanelFloats);

// No masked store: with AVX2, AMD's processors take tens of micro-operations for one.
HWY_INLINE void store_columns(Vec v, int64_t count, float* to) {
#if HWY_TARGET == HWY_AVX2
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, Floats(), lanes);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#else
  hn::BlendedStore(v, hn::FirstN(Floats(), static_cast<size_t>(count)), Floats(), to);
#endif
}

template <int kRows, int kVecs>
HWY_INLINE void write_tile(const Vec (&sum)[kRows][kVecs], const TileOutput& out) {
  const Floats d;
  const Vec alpha = hn::Set(d, out.alpha);
#pragma GCC unroll 2
  for (int v = 0; v < kVecs; ++v) {
    const int64_t first = v * kLanes;
    const int64_t count = out.columns - first;
    if (count >= kLanes) {
      const Vec bias = out.bias ? hn::LoadU(d, out.bias + first) : hn::Zero(d);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        float* to = out.rows[r] + out.offset + first;
        const Vec base = out.accumulate ? hn::Add(hn::LoadU(d, to), bias) : bias;
        hn::StoreU(hn::MulAdd(sum[r][v], alpha, base), d, to);
      }
    } else if (count > 0) {
      const auto mask = hn::FirstN(d, static_cast<size_t>(count));
      const Vec bias = out.bias ? hn::MaskedLoad(mask, d, out.bias + first) : hn::Zero(d);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        float* to = out.rows[r] + out.offset + first;
        const Vec base = out.accumulate ? hn::Add(hn::MaskedLoad(mask, d, to), bias) : bias;
        store_columns(hn::MulAdd(sum[r][v], alpha, base), count, to);
      }
    }
  }
}

// The outputs are needed only after the reduction; by then they are in the cache.
template <int kRows, int kVecs>
HWY_INLINE void prefetch_output(const TileOutput& out) {
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    const float* to = out.rows[r] + out.offset;
#pragma GCC unroll 2
    for (int64_t i = 0; i < kVecs * kLanes; i += kLine) __builtin_prefetch(to + i, 1);
  }
}

// Rows of the tile after this one, to be prefetched. None: rows is 0.
struct NextRows {
  const float* const* left = nullptr;
  int64_t rows = 0;
};

template <int kRows, int kVecs>
HWY_INLINE void row_tile_of(const RowTile& tile, const NextRows& next, const TileOutput& out) {
  prefetch_output<kRows, kVecs>(out);
  Vec sum[kRows][kVecs];
  clear(sum);
  const float* b = tile.b;
  const int64_t b_stride = tile.b_stride;
  for (int64_t s = 0; s < tile.segments; ++s) {
    const float* left[kRows];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) left[r] = tile.left[s * kMr + r] + tile.offset;
    for (int64_t first = 0; first < tile.length; first += kLine) {
      for (int64_t r = 0; r < next.rows; ++r) {
        __builtin_prefetch(next.left[s * kMr + r] + tile.offset + first);
      }
      const int64_t end = HWY_MIN(first + kLine, tile.length);
      for (int64_t i = first; i < end; ++i, b += b_stride) {
        add_products([&](int r) DDPM_SIMD_LAMBDA { return left[r][i]; }, b, sum);
      }
    }
  }
  write_tile<kRows, kVecs>(sum, out);
}

template <int kRows, int kVecs>
void column_tile_of(const ColumnTile& tile, const TileOutput& out) {
  prefetch_output<kRows, kVecs>(out);
  Vec sum[kRows][kVecs];
  clear(sum);
  const float* const b = tile.b;
  const auto step = [&](int64_t i) HWY_ATTR {
    const float* left = tile.left[i] + tile.offset;
    add_products([=](int r) DDPM_SIMD_LAMBDA { return left[r]; }, b + i * kNr, sum);
  };
  const int64_t fetches = HWY_MIN(tile.depth, tile.ahead_count);
  const float* ahead = tile.ahead;
  for (int64_t i = 0; i < fetches; ++i, ahead += tile.ahead_stride) {
    __builtin_prefetch(ahead, 0, 2);
    step(i);
  }
  for (int64_t i = fetches; i < tile.depth; ++i) step(i);
  write_tile<kRows, kVecs>(sum, out);
}

// rows -> the instance with that many rows.
template <int kRows = kMr>
HWY_INLINE void row_tile_rows(int64_t rows, const RowTile& tile, const NextRows& next,
                              const TileOutput& out) {
  if (rows == kRows) {
    out.columns > kLanes ? row_tile_of<kRows, 2>(tile, next, out)
                         : row_tile_of<kRows, 1>(tile, next, out);
  } else if constexpr (kRows > 1) {
    row_tile_rows<kRows - 1>(rows, tile, next, out);
  }
}

template <int kRows = kMr>
HWY_INLINE void column_tile_rows(int64_t rows, const ColumnTile& tile, const TileOutput& out) {
  if (rows == kRows) {
    out.columns > kLanes ? column_tile_of<kRows, 2>(tile, out)
                         : column_tile_of<kRows, 1>(tile, out);
  } else if constexpr (kRows > 1) {
    column_tile_rows<kRows - 1>(rows, tile, out);
  }
}

void row_tiles(const RowGroups& groups, RowTile tile, TileOutput out) {
  const int64_t rows = groups.rows / groups.groups, larger = groups.rows % groups.groups;
  for (int64_t g = 0; g < groups.groups; ++g) {
    NextRows next;
    if (tile.fetch && g + 1 < groups.groups) {
      next = {tile.left + groups.left_step, rows + (g + 1 < larger)};
    }
    row_tile_rows(rows + (g < larger), tile, next, out);
    tile.left += groups.left_step;
    out.rows += kMr;
  }
}

void column_tile(int64_t rows, const ColumnTile& tile, const TileOutput& out) {
  column_tile_rows(rows, tile, out);
}

template <bool kSums>
HWY_INLINE void pack_panel(const float* b, int64_t stride, int64_t depth, int64_t columns,
                           float* panel, float* sums) {
  const Floats d;
  Vec sum[2] = {hn::Zero(d), hn::Zero(d)};
  const int64_t count0 = HWY_MIN(columns, kLanes), count1 = columns - count0;
  const auto mask0 = hn::FirstN(d, static_cast<size_t>(count0));
  const auto mask1 = hn::FirstN(d, static_cast<size_t>(count1));
  for (int64_t i = 0; i < depth; ++i, b += stride, panel += kNr) {
    __builtin_prefetch(b + kRowsAhead * stride);
    if (kNr > 16) __builtin_prefetch(b + kRowsAhead * stride + 16);
    Vec x0, x1;
    if (columns == kNr) {
      x0 = hn::LoadU(d, b), x1 = hn::LoadU(d, b + kLanes);
    } else {
      x0 = hn::MaskedLoad(mask0, d, b);
      x1 = count1 > 0 ? hn::MaskedLoad(mask1, d, b + kLanes) : hn::Zero(d);
    }
    hn::StoreU(x0, d, panel);
    hn::StoreU(x1, d, panel + kLanes);
    if constexpr (kSums) sum[0] = hn::Add(sum[0], x0), sum[1] = hn::Add(sum[1], x1);
  }
  for (int64_t v = 0; kSums && v < 2; ++v, sums += kLanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, sums), sum[v]), d, sums);
  }
}

void pack(const float* b, int64_t stride, int64_t depth, int64_t columns, float* panel,
          float* sums) {
  sums ? pack_panel<true>(b, stride, depth, columns, panel, sums)
       : pack_panel<false>(b, stride, depth, columns, panel, sums);
}

void pack_rows(const float* a, int64_t stride, int64_t depth, int64_t rows, float* panel) {
  const Floats d;
  // Whole vectors are stored; what they write past mr is overwritten by the next row.
  for (int64_t first = 0; first < rows; first += kLanes) {
    const auto mask = hn::FirstN(d, static_cast<size_t>(HWY_MIN(rows - first, kLanes)));
    for (int64_t i = 0; i < depth; ++i) {
      __builtin_prefetch(a + (i + kRowsAhead) * stride + first);
      hn::StoreU(hn::MaskedLoad(mask, d, a + i * stride + first), d, panel + i * kMr + first);
    }
  }
}

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
// One vector whose 128-bit block g holds from[4 g stride ... 4 g stride + 3].
template <class D>
HWY_INLINE hn::Vec<D> load_blocks(D d, const float* from, int64_t stride) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return hn::LoadU(d, from);
  } else {
    const hn::Half<D> half;
    constexpr int64_t kHalf = hn::MaxLanes(hn::Half<D>());
    return hn::Combine(d, load_blocks(half, from + kHalf * stride, stride),
                       load_blocks(half, from, stride));
  }
}

// Transposes 4 reduction steps of one vector of columns: 4 x 4 within every 128-bit block.
HWY_INLINE void transpose_four(const float* from, int64_t stride, float* to) {
  const Floats d;
  const hn::Repartition<uint64_t, Floats> pairs;
  const Vec r0 = load_blocks(d, from, stride), r1 = load_blocks(d, from + stride, stride);
  const Vec r2 = load_blocks(d, from + 2 * stride, stride);
  const Vec r3 = load_blocks(d, from + 3 * stride, stride);
  const auto a = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
  const auto b = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
  const auto e = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
  const auto f = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, a, b)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, a, b)), d, to + kNr);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, e, f)), d, to + 2 * kNr);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, e, f)), d, to + 3 * kNr);
}
constexpr bool kHaveTranspose = true;
#else
HWY_INLINE void transpose_four(const float*, int64_t, float*) {}
constexpr bool kHaveTranspose = false;
#endif

void pack_transposed(const float* b, int64_t stride, int64_t depth, int64_t columns, float* panel) {
  for (int64_t first = 0; first < kNr; first += kLanes) {
    const int64_t count = columns - first;
    int64_t i = 0;
    if (kHaveTranspose && count >= kLanes) {
      for (; i + 4 <= depth; i += 4) {
        transpose_four(b + first * stride + i, stride, panel + i * kNr + first);
      }
    }
    for (; i < depth; ++i) {
      for (int64_t j = 0; j < kLanes; ++j) {
        panel[i * kNr + first + j] = j < count ? b[(first + j) * stride + i] : 0.0f;
      }
    }
  }
}

}  // namespace

const GemmKernels* kernels() {
  static constexpr GemmKernels kKernels = {kMr,         kNr,  kDepth,          row_tiles,
                                           column_tile, pack, pack_transposed, pack_rows};
  static_assert(kMr <= kLanes || kMr % kLanes == 0);
  return &kKernels;
}

}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(kernels);

const GemmKernels& gemm_kernels() { return *DDPM_SIMD_CHOOSE(kernels)(); }

}  // namespace ddpm::cpu
#endif
