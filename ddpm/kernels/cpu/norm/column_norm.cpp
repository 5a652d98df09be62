// Column kernels. The moments and the affine maps are computed row by row. The moments take some
// rows at a time and keep their accumulators in the first-level cache. The sums of gradients need
// more accumulators. They are computed strip by strip, a strip being some columns: the accumulators
// are in registers, and the rows of the block stay in the first cache levels. In a wide matrix the
// processor predicts neither order of access, so both kernels prefetch the following rows or the
// following strip.
//
// The moments are computed about the block's first row. Its distance from the mean is at most
// sqrt(rows) deviations. In double that loses two digits of sixteen, so one pass is enough.
#include "ddpm/kernels/cpu/norm/column_norm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/norm/column_norm.cpp"
#include "ddpm/kernels/cpu/simd/simd_targets.h"
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ddpm/kernels/cpu/simd/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ddpm::cpu::HWY_NAMESPACE {
namespace {

constexpr int kRowsAtOnce = 4;

// Adds the distances of kRows rows to `first`, and their squares, to what sum and square hold.
template <int kRows>
HWY_INLINE void add_distances(const float* x, const float* first, int64_t columns, double* sum,
                              double* square) {
  const Doubles d;
  int64_t c = 0;
  for (; c + kDoubleLanes <= columns; c += kDoubleLanes) {
    const DoubleVec origin = load_double(first + c);
    DoubleVec total = hn::LoadU(d, sum + c), squares = hn::LoadU(d, square + c);
    for (int r = 0; r < kRows; ++r) {
      __builtin_prefetch(x + (kRows + r) * columns + c);
      const DoubleVec distance = hn::Sub(load_double(x + r * columns + c), origin);
      total = hn::Add(total, distance);
      squares = hn::MulAdd(distance, distance, squares);
    }
    hn::StoreU(total, d, sum + c);
    hn::StoreU(squares, d, square + c);
  }
  for (; c < columns; ++c) {
    for (int r = 0; r < kRows; ++r) {
      const double distance = double{x[r * columns + c]} - first[c];
      sum[c] += distance;
      square[c] += distance * distance;
    }
  }
}

void moments(const float* x, int64_t rows, int64_t columns, double* mean, double* squares) {
  for (int64_t c = 0; c < columns; ++c) mean[c] = squares[c] = 0;
  int64_t r = 1;
  for (; r + kRowsAtOnce <= rows; r += kRowsAtOnce) {
    add_distances<kRowsAtOnce>(x + r * columns, x, columns, mean, squares);
  }
  for (; r < rows; ++r) add_distances<1>(x + r * columns, x, columns, mean, squares);
  for (int64_t c = 0; c < columns; ++c) {
    const double average = mean[c] / static_cast<double>(rows);
    const double spread = squares[c] - average * mean[c];
    squares[c] = spread < 0 ? 0 : spread;
    mean[c] = x[c] + average;
  }
}

template <bool kSilu, int kVecs, class Lanes>
HWY_INLINE void sums_strip(Lanes lanes, const float* dy, const float* x, int64_t rows,
                           int64_t columns, const ColumnAffine& affine, float* du_out,
                           float* du_sum, float* dux_sum) {
  Vec mean[kVecs], scale[kVecs], shift[kVecs], sum[kVecs], product[kVecs];
  for (int v = 0; v < kVecs; ++v) {
    mean[v] = lanes.load(affine.mean + v * kLanes);
    if (kSilu) {
      scale[v] = lanes.load(affine.scale + v * kLanes);
      shift[v] = lanes.load(affine.shift + v * kLanes);
    }
    sum[v] = product[v] = hn::Zero(Floats());
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int v = 0; v < kVecs; ++v) {
      const int64_t at = r * columns + v * kLanes;
      __builtin_prefetch(x + at + kVecs * kLanes, 0, 2);
      __builtin_prefetch(dy + at + kVecs * kLanes, 0, 2);
      const Vec centred = hn::Sub(lanes.load(x + at), mean[v]);
      Vec du = lanes.load(dy + at);
      if (kSilu) {
        du = hn::Mul(du, silu_slope(hn::MulAdd(centred, scale[v], shift[v])));
        lanes.store(du, du_out + at);
      }
      sum[v] = hn::Add(sum[v], du);
      product[v] = hn::MulAdd(du, centred, product[v]);
    }
  }
  for (int v = 0; v < kVecs; ++v) {
    lanes.store(sum[v], du_sum + v * kLanes);
    lanes.store(product[v], dux_sum + v * kLanes);
  }
}

template <bool kSilu>
void sums_of(const float* dy, const float* x, int64_t rows, int64_t columns,
             const ColumnAffine& affine, float* du, float* du_sum, float* dux_sum) {
  for_each_strip(columns, [&](int64_t c, auto vecs, auto lanes) HWY_ATTR {
    sums_strip<kSilu, decltype(vecs)::value>(
        lanes, dy + c, x + c, rows, columns,
        {affine.mean + c, affine.scale + c, kSilu ? affine.shift + c : nullptr},
        kSilu ? du + c : nullptr, du_sum + c, dux_sum + c);
  });
}

template <bool kSilu, bool kAdd>
void normalize_of(const float* x, int64_t rows, int64_t columns, const ColumnAffine& affine,
                  const float* residual, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float *from = x + r * columns, *rest = kAdd ? residual + r * columns : nullptr;
    float* to = y + r * columns;
    for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
      const Vec centred = hn::Sub(lanes.load(from + c), lanes.load(affine.mean + c));
      const Vec u = hn::MulAdd(centred, lanes.load(affine.scale + c), lanes.load(affine.shift + c));
      const Vec result = kSilu ? silu(u) : u;
      lanes.store(kAdd ? hn::Add(result, lanes.load(rest + c)) : result, to + c);
    });
  }
}

void normalize(bool silu, const float* x, int64_t rows, int64_t columns, const ColumnAffine& affine,
               const float* residual, float* y) {
  const auto run = silu ? (residual ? normalize_of<true, true> : normalize_of<true, false>)
                        : (residual ? normalize_of<false, true> : normalize_of<false, false>);
  run(x, rows, columns, affine, residual, y);
}

void sums(bool silu, const float* dy, const float* x, int64_t rows, int64_t columns,
          const ColumnAffine& affine, float* du, float* du_sum, float* dux_sum) {
  silu ? sums_of<true>(dy, x, rows, columns, affine, du, du_sum, dux_sum)
       : sums_of<false>(dy, x, rows, columns, affine, du, du_sum, dux_sum);
}

void gradient(const float* du, const float* x, int64_t rows, int64_t columns,
              const ColumnAffine& affine, const float* slope, const float* offset, float* dx) {
  for (int64_t r = 0; r < rows; ++r) {
    const float *grad = du + r * columns, *from = x + r * columns;
    float* to = dx + r * columns;
    for_each_vector(columns, [=](int64_t c, auto lanes) DDPM_SIMD_LAMBDA {
      const Vec centred = hn::Sub(lanes.load(from + c), lanes.load(affine.mean + c));
      const Vec rest = hn::MulAdd(centred, lanes.load(slope + c), lanes.load(offset + c));
      lanes.store(hn::MulAdd(lanes.load(grad + c), lanes.load(affine.scale + c), rest), to + c);
    });
  }
}

}  // namespace
}  // namespace ddpm::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ddpm::cpu {

DDPM_SIMD_TABLE(moments);
DDPM_SIMD_TABLE(normalize);
DDPM_SIMD_TABLE(sums);
DDPM_SIMD_TABLE(gradient);

void column_moments(const float* x, int64_t rows, int64_t columns, double* mean, double* squares) {
  DDPM_SIMD_CHOOSE(moments)(x, rows, columns, mean, squares);
}

void normalize_columns(bool silu, const float* x, int64_t rows, int64_t columns,
                       const ColumnAffine& affine, const float* residual, float* y) {
  DDPM_SIMD_CHOOSE(normalize)(silu, x, rows, columns, affine, residual, y);
}

void gradient_sums(bool silu, const float* dy, const float* x, int64_t rows, int64_t columns,
                   const ColumnAffine& affine, float* du, float* du_sum, float* dux_sum) {
  DDPM_SIMD_CHOOSE(sums)(silu, dy, x, rows, columns, affine, du, du_sum, dux_sum);
}

void normalize_gradient(const float* du, const float* x, int64_t rows, int64_t columns,
                        const ColumnAffine& affine, const float* slope, const float* offset,
                        float* dx) {
  DDPM_SIMD_CHOOSE(gradient)(du, x, rows, columns, affine, slope, offset, dx);
}

}  // namespace ddpm::cpu
#endif
