// The six small transforms of Winograd's convolution F(m x m, 3 x 3), m = 2 or 4 (Lavin & Gray
// 2016, arXiv:1509.09308), on vectors of channels. With a = (m + 2)^2 positions, a tile of m x m
// outputs is Y = A^T [sum over channels of (G g G^T) * (B^T d B)] A for the (m + 2) x (m + 2) input
// tile d and the 3 x 3 weights g; the sum over channels is a matrix product per position.
#pragma once

#include <cstdint>

namespace ddpm::cpu {

// How weights w are standardized on their way: (w - mean[i]) rstd[i], i being the column k or the
// row c. Nothing where mean is null.
struct WeightScaling {
  const float* mean = nullptr;
  const float* rstd = nullptr;
  bool by_row = false;
};

struct WinogradKernels {
  // B^T d B: v[p * stride + c] for c < channels rounded up to whole vectors (zero beyond channels).
  // pixels[p] is where the channels of the tile's pixel p lie.
  void (*input)(const float* const* pixels, int64_t channels, float* v, int64_t stride);
  // A^T M A + bias, where M's position p is at sums[p * stride + k]: y to pixels[i * m + j] for
  // k < columns; null pixels are outside of the image. bias may be null.
  void (*output)(const float* sums, int64_t stride, int64_t columns, const float* bias,
                 float* const* pixels);
  // G g G^T for rows c < depth of weights taps[9][c * row_stride + k], scaled, k < columns <= nr:
  // u[p * position_stride + c * channel_stride + k], zero for columns <= k < nr.
  void (*weights)(const float* const* taps, int64_t row_stride, int64_t depth, int64_t columns,
                  const WeightScaling& scaling, float* u, int64_t position_stride,
                  int64_t channel_stride);
  // The same for a block of position_products.h: rows c < depth of taps[tap * tap_stride + c * nr +
  // k] to its U. Columns are scaled a whole panel at a time.
  void (*block_weights)(const float* taps, int64_t tap_stride, int64_t depth,
                        const WeightScaling& scaling, float* u);
  // A dY A^T: position p of column k to d[p * stride + panel(k) * panel_stride + k % nr] for k <
  // columns rounded up to nr. pixels[i * m + j] is where dy's channels lie. sums[k] += the tile's
  // sum where sums is not null (columns rounded up to nr elements).
  void (*output_gradient)(const float* const* pixels, int64_t columns, float* d, int64_t stride,
                          int64_t panel_stride, float* sums);
  // G^T S G for S's position p at sums[p * stride + k]: taps[9][k], k < columns.
  void (*weights_gradient)(const float* sums, int64_t stride, int64_t columns, float* const* taps);
  // The same for rows c < rows of a block: taps[tap * tap_stride + c * row_stride + k], k < nr.
  void (*block_gradient)(const float* sums, int64_t rows, float* taps, int64_t tap_stride,
                         int64_t row_stride);
};

// m is 2 or 4; the set for the instruction set in force.
const WinogradKernels& winograd_kernels(int64_t m);

}  // namespace ddpm::cpu
