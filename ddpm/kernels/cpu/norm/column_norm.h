// The steps of group normalisation and weight standardization on a dense matrix [rows][columns]:
// statistics of each column, the map y = act((x - mean) scale + shift) with one mean, scale and
// shift for each column, and the two steps of its gradient. Callers cut the rows into blocks of
// column_block_rows() and merge the results of the blocks in order. That size depends on the width
// alone, so results depend neither on threads nor on the batch. Each function uses one thread and
// allocates nothing.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ddpm::cpu {

// The rows of a block. It stays in the first cache levels, and a sum over it in float32 loses less
// than a digit.
inline int64_t column_block_rows(int64_t columns) {
  return std::clamp<int64_t>(16384 / std::max<int64_t>(columns, 1), 16, 128);
}

// The mean of each column and the sum of the squared distances to it, in double. No float32 values
// make them overflow or underflow. A constant column gives its value and 0 exactly.
void column_moments(const float* x, int64_t rows, int64_t columns, double* mean, double* squares);

// Per column; arrays of `columns` floats each.
struct ColumnAffine {
  const float* mean;
  const float* scale;
  const float* shift;
};

// y = act(u) + residual, u = (x - mean) scale + shift, act either SiLU or nothing; residual may be
// null.
void normalize_columns(bool silu, const float* x, int64_t rows, int64_t columns,
                       const ColumnAffine& affine, const float* residual, float* y);

// With du = dy act'(u), per column: sums of du and of du (x - mean). Where act is SiLU, du is also
// written, so that it is computed once.
void gradient_sums(bool silu, const float* dy, const float* x, int64_t rows, int64_t columns,
                   const ColumnAffine& affine, float* du, float* du_sum, float* dux_sum);

// dx = du scale + (x - mean) slope + offset; dx may be du. Shifts are not read.
void normalize_gradient(const float* du, const float* x, int64_t rows, int64_t columns,
                        const ColumnAffine& affine, const float* slope, const float* offset,
                        float* dx);

}  // namespace ddpm::cpu
