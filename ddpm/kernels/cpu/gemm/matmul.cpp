// The reduction is cut into blocks of the kernel's depth, at places that depend on k alone. For
// each block and each panel of nr columns, the panel of b is packed onto the stack, where it stays
// in the first-level cache. Then a strip of rows of a (or all of them) is multiplied by it.
#include "ddpm/kernels/cpu/gemm/matmul.h"

#include <algorithm>

#include "ddpm/kernels/cpu/gemm/gemm_kernels.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

constexpr int64_t kStripGroups = 32;  // of mr rows that share a packed panel

// A product whose reduction is empty: zeros, or the bias.
void add_nothing(const Matmul& p) {
  for (int64_t i = 0; i < p.m; ++i) {
    float* row = p.c.row(i);
    if (!p.accumulate) std::fill_n(row, p.n, 0.0f);
    for (int64_t j = 0; p.bias && j < p.n; ++j) row[j] += p.bias[j];
  }
}

// The bias enters with the first block of the reduction.
const float* bias_of(const Matmul& p, int64_t block, int64_t column) {
  return p.bias && block == 0 ? p.bias + column : nullptr;
}

// Calls body(reduction block, its number, first column, columns).
template <class Body>
void for_each_panel(const Matmul& p, const GemmKernels& kernels, const Body& body) {
  const int64_t blocks = ceil_div(p.k, kernels.depth);
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t column = 0; column < p.n; column += kernels.nr) {
      body(piece(p.k, blocks, block), block, column, std::min(kernels.nr, p.n - column));
    }
  }
}

// Rows [rows), at most kStripGroups groups of them.
void strip_times_panels(const Matmul& p, const GemmKernels& kernels, Range rows, bool transposed) {
  alignas(64) float panel[kMaxPanelFloats];
  const int64_t groups = ceil_div(rows.size(), kernels.mr);
  const float* left[kStripGroups * kMaxTileRows];
  float* to[kStripGroups * kMaxTileRows];
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t smaller = rows.size() / groups, larger = rows.size() % groups;
    const int64_t count = smaller + (group < larger);
    const int64_t first = rows.begin + group * smaller + std::min(group, larger);
    for (int64_t r = 0; r < count; ++r) {
      left[group * kernels.mr + r] = p.a.row(first + r);
      to[group * kernels.mr + r] = p.c.row(first + r);
    }
  }
  for_each_panel(p, kernels, [&](Range k, int64_t block, int64_t column, int64_t columns) {
    RowTile tile;
    tile.left = left;
    tile.length = k.size();
    tile.offset = k.begin;
    tile.b = panel;
    tile.b_stride = kernels.nr;
    tile.fetch = column == 0;
    if (transposed) {
      kernels.pack_transposed(p.b.row(column) + k.begin, p.b.stride, k.size(), columns, panel);
    } else if (groups == 1 && columns == kernels.nr) {
      // Read once, so a copy does not pay.
      tile.b = p.b.row(k.begin) + column;
      tile.b_stride = p.b.stride;
    } else {
      kernels.pack(p.b.row(k.begin) + column, p.b.stride, k.size(), columns, panel, nullptr);
    }
    kernels.row_tiles({.rows = rows.size(), .groups = groups, .left_step = kernels.mr}, tile,
                      {.rows = to,
                       .columns = columns,
                       .bias = bias_of(p, block, column),
                       .alpha = p.alpha,
                       .accumulate = p.accumulate || block > 0,
                       .offset = column});
  });
}

void rows_times_panels(const Matmul& p, bool transposed) {
  if (p.k == 0) return add_nothing(p);
  const GemmKernels& kernels = gemm_kernels();
  const int64_t strips = ceil_div(p.m, kStripGroups * kernels.mr);
  for (int64_t strip = 0; strip < strips; ++strip) {
    strip_times_panels(p, kernels, piece(p.m, strips, strip), transposed);
  }
}

}  // namespace

void matmul_nn(const Matmul& p) { rows_times_panels(p, false); }

void matmul_nt(const Matmul& p) { rows_times_panels(p, true); }

void matmul_tn(const Matmul& p) {
  if (p.k == 0) return add_nothing(p);
  const GemmKernels& kernels = gemm_kernels();
  alignas(64) float panel[kMaxPanelFloats];
  const float* left[kMaxDepth];
  const int64_t groups = ceil_div(p.m, kernels.mr);
  for_each_panel(p, kernels, [&](Range k, int64_t block, int64_t column, int64_t columns) {
    kernels.pack(p.b.row(k.begin) + column, p.b.stride, k.size(), columns, panel, nullptr);
    for (int64_t i = 0; i < k.size(); ++i) left[i] = p.a.row(k.begin + i);
    for (int64_t group = 0; group < groups; ++group) {
      const Range rows = piece(p.m, groups, group);
      float* to[kMaxTileRows];
      for (int64_t r = 0; r < rows.size(); ++r) to[r] = p.c.row(rows.begin + r) + column;
      kernels.column_tile(rows.size(),
                          {.left = left, .depth = k.size(), .offset = rows.begin, .b = panel},
                          {.rows = to,
                           .columns = columns,
                           .bias = bias_of(p, block, column),
                           .alpha = p.alpha,
                           .accumulate = p.accumulate || block > 0});
    }
  });
}

}  // namespace ddpm::cpu
