// A forward or backward-data pass of Winograd's convolution, and the steps that its two drivers
// share: winograd.cpp, and winograd_few_tiles.cpp where there are few tiles. Backward-data is the
// forward pass of dy with the kernel turned by half a circle and its channels swapped.
#pragma once

#include "ddpm/kernels/cpu/tasks.h"
#include "ddpm/kernels/cpu/winograd.h"
#include "ddpm/kernels/cpu/winograd_tiles.h"

namespace ddpm::cpu {

struct WinogradPass {
  Tiles tiles;
  SplitMap<const float> x;
  int64_t channels;
  WinogradWeights weights;
  bool backward;  // weights [3, 3, outputs, channels], to be turned and transposed
  int64_t outputs;
  const float* bias;
  SplitMap<float> y;
};

WinogradPass winograd_forward(int64_t m, const ConvShape& shape, const SplitMap<const float>& x,
                              const WinogradWeights& weights, const float* bias, float* y);
WinogradPass winograd_backward_data(int64_t m, const ConvShape& shape, const float* dy,
                                    const WinogradWeights& weights, const SplitMap<float>& dx);

// U of panel `panel`, channels [channels): u[position * stride + (c - channels.begin) * nr + k].
// Where the pass is backward, `turned` has room for 9 * channels.size() * nr floats.
void transform_weights(const WinogradPass& pass, int64_t panel, Range channels, float* turned,
                       float* u, int64_t stride);

// y of tile t for output channels [columns) from sums[position * stride + (k - columns.begin)].
void transform_output(const WinogradPass& pass, int64_t t, Range columns, const float* sums,
                      int64_t stride);

}  // namespace ddpm::cpu
