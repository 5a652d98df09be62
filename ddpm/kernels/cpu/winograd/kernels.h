// The small transforms and products of Winograd's convolution F(m x m, 3 x 3), m = 2 or 4 (Lavin &
// Gray 2016, arXiv:1509.09308), on vectors of channels. With a = (m + 2)^2 positions, a tile of m x
// m outputs is Y = A^T [sum over channels of (G g G^T) * (B^T d B)] A for the (m + 2) x (m + 2)
// input tile d and the 3 x 3 weights g; the sum over channels is a matrix product per position.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

// How weights w are standardized while they are transformed: (w - mean[i]) rstd[i], i being the
// column k or the row c. Not at all where mean is null.
struct WeightScaling {
  const float* mean = nullptr;
  const float* rstd = nullptr;
  bool by_row = false;
};

// Blocks of V or panels of D, `step` apart, their positions `stride` apart.
struct GradientBlocks {
  const float* data;
  int64_t count, step, stride;
};

// Arrays belong to a block of tiles, a block of channels and a panel of nr outputs, as in
// gemm_kernels.h. U belongs to a slab, which is up to so many blocks of channels. Strides between
// positions and sizes are in floats:
//
//   V [position][tile][block],
//   U [position][channel of the slab][nr], u_size(blocks) in all,
//   the sums, and D, the transformed gradient of outputs, [position][tile][nr],
//   S, the gradient of U, [position][block][nr], with gaps between positions, gradient_size in all.
struct WinogradKernels {
  int64_t block;  // channels
  int64_t slab;   // blocks
  int64_t gradient_size;
  int64_t (*u_size)(int64_t blocks);

  // B^T d B of one tile: position p of channel c to v[p * stride + c / block * block_stride + c %
  // block] for c < channels rounded up to whole vectors (zero beyond channels); the tile's pixel p
  // has its channels at pixels[p] + offset. The next tile's, at next[p], are prefetched.
  void (*input)(const float* const* pixels, const float* const* next, int64_t offset,
                int64_t channels, float* v, int64_t stride, int64_t block_stride);
  // G g G^T to rows c < channels of a slab's U from weights taps[tap * tap_stride + c * nr + k],
  // scaled, k < nr. Columns are scaled a whole panel at a time. U is as large as the channels need.
  void (*weights)(const float* taps, int64_t tap_stride, int64_t channels,
                  const WeightScaling& scaling, float* u);
  // sums[p][t][k] = sum over the channels c of `blocks` blocks of V[p][t][c] U[p][c][k] for t <
  // tiles; where accumulate, it is added to what they hold. V's blocks are v_step apart. stream: U
  // is read from memory, and so is what follows it.
  void (*multiply)(int64_t tiles, int64_t blocks, const float* v, int64_t v_stride, int64_t v_step,
                   const float* u, bool stream, bool accumulate, float* sums, int64_t sums_stride);
  // A^T M A + bias of one tile, position p of M's column k < columns at sums[p * stride + k / nr *
  // panel_stride + k % nr]: y to pixels[i * m + j] + offset; null pixels are outside of the image.
  // bias may be null.
  void (*output)(const float* sums, int64_t stride, int64_t panel_stride, int64_t columns,
                 const float* bias, float* const* pixels, int64_t offset);

  // A dY A^T: position p of column k to d[p * stride + panel(k) * panel_stride + k % nr] for k <
  // columns rounded up to nr. pixels[i * m + j] is where dy's channels lie. sums[k] += the tile's
  // sum where sums is not null (columns rounded up to nr elements).
  void (*output_gradient)(const float* const* pixels, int64_t columns, float* d, int64_t stride,
                          int64_t panel_stride, float* sums);
  // S[p][c][k] = sum over t < tiles of V[p][t][c] D[p][t][k]; where accumulate, it is added to what
  // they hold. For each block of V and each panel of D: S of block i and panel j is at s + (i *
  // panels + j) * gradient_size.
  void (*multiply_gradient)(int64_t tiles, const GradientBlocks& v, const GradientBlocks& d,
                            bool accumulate, float* s);
  // G^T S G for rows c < channels: taps[tap * tap_stride + c * row_stride + k], k < nr.
  void (*block_gradient)(const float* s, int64_t channels, float* taps, int64_t tap_stride,
                         int64_t row_stride);
};

// The kernels of F(m x m), m being 2 or 4, for the instruction set in use.
const WinogradKernels& winograd_kernels(int64_t m);

}  // namespace ddpm::cpu
