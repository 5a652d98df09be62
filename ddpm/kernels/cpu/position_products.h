// Many small matrix products at once, one for each position of Winograd's convolution, for problems
// of so few tiles that a tile of outputs of gemm_kernels.h would end as soon as it began.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

// U and S are matrices [block][nr] of some channels and a panel of outputs, position after
// position, block_stride floats from one to the next: a little more than they take, an odd number
// of cache lines, so that the positions of one channel do not fight for a few sets of the cache.
struct PositionProducts {
  int64_t block;  // channels, at most kMaxBlock
  int64_t block_stride;
  // sums[p][t][j] = (what it held, where accumulate, +) sum over c < block of v[p][t][c] u[p][c][j]
  // for p < positions, t < rows, j < nr. Sums are dense, v's positions are v_stride apart.
  void (*rows)(int64_t positions, int64_t rows, const float* v, int64_t v_stride, const float* u,
               bool accumulate, float* sums);
  // s[p][c][j] = sum over t < steps of v[p][t][c] d[p][t][j] for p < positions, c < block, j < nr.
  // d is dense, v's positions are v_stride apart.
  void (*columns)(int64_t positions, int64_t steps, const float* v, int64_t v_stride,
                  const float* d, float* s);

  static constexpr int64_t kMaxBlock = 16;
};

// The set for the instruction set in force; nr is that of gemm_kernels().
const PositionProducts& position_products();

}  // namespace ddpm::cpu
