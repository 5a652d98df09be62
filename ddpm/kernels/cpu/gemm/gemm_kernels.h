// The register tile that computes every matrix product and direct convolution: up to mr x nr
// outputs are in registers while the reduction runs. Loops, cache blocking and threads are up to
// the callers (matmul.cpp, conv/gather.cpp, conv/conv_weights.cpp).
#pragma once

#include <cstdint>

namespace ddpm::cpu {

// out[r][j] = bias[j] + alpha * sum over the reduction (+ what out[r][j] held), r < rows, j <
// columns.
struct TileOutput {
  // [rows], each `offset` floats before the tile's first column.
  float* const* rows;
  int64_t columns = 0;          // 1 ... nr
  const float* bias = nullptr;  // at the tile's first column, or null
  float alpha = 1;
  bool accumulate = false;
  int64_t offset = 0;
};

// The left matrix is given by row pointers: sum over s < segments, i < length of
//
//   left[s * mr + r][offset + i] * b[(s * length + i) * b_stride + j].
//
// A convolution gives one segment per tap, a plain product one segment.
struct RowTile {
  const float* const* left;  // [segments][mr]
  int64_t segments = 1;
  int64_t length = 0;
  int64_t offset = 0;
  const float* b = nullptr;  // nr readable columns in every row
  int64_t b_stride = 0;
  bool fetch = false;  // prefetch the next tile's rows, which come from memory
};

// Tiles one below the other. Each has rows / groups rows, and the first rows % groups tiles have
// one more. The pointers of group g are at left[g * left_step] and rows[g * mr].
struct RowGroups {
  int64_t rows = 0, groups = 0;
  int64_t left_step = 0;
};

// Left matrix transposed: sum over i < depth of left[i][offset + r] * b[i * nr + j].
struct ColumnTile {
  const float* const* left;  // [depth]
  int64_t depth = 0;
  int64_t offset = 0;
  const float* b = nullptr;
  // Lines at ahead + i * ahead_stride, i < ahead_count, are prefetched into the second-level cache,
  // one in each step.
  const float* ahead = nullptr;
  int64_t ahead_stride = 0, ahead_count = 0;
};

struct GemmKernels {
  // The most rows and columns of a tile.
  int64_t mr, nr;
  // The longest reduction with which a packed panel of b stays in the first-level cache.
  int64_t depth;
  void (*row_tiles)(const RowGroups& groups, RowTile tile, TileOutput out);
  void (*column_tile)(int64_t rows, const ColumnTile& tile, const TileOutput& out);
  // panel[i * nr + j] = b[i * stride + j] for i < depth, j < columns; zero for columns <= j < nr.
  // Where sums is not null, sums[j] += sum over i of b[i * stride + j] (sums has nr elements).
  void (*pack)(const float* b, int64_t stride, int64_t depth, int64_t columns, float* panel,
               float* sums);
  // panel[i * nr + j] = b[j * stride + i]; zero for columns <= j < nr.
  void (*pack_transposed)(const float* b, int64_t stride, int64_t depth, int64_t columns,
                          float* panel);
  // panel[i * mr + r] = a[i * stride + r] for i < depth, r < rows; what lies between rows and mr is
  // undefined. Writes up to kPackRowsSlack floats more.
  void (*pack_rows)(const float* a, int64_t stride, int64_t depth, int64_t rows, float* panel);
};

inline constexpr int64_t kPackRowsSlack = 16;
inline constexpr int64_t kMaxTileRows = 8;  // upper bounds over all targets
inline constexpr int64_t kMaxDepth = 256;
inline constexpr int64_t kMaxPanelFloats = 6144;  // of depth * nr

// The kernels for the instruction set in use.
const GemmKernels& gemm_kernels();

}  // namespace ddpm::cpu
