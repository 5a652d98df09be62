// Convolution as one indirect matrix product: output pixels are rows, output channels are columns,
// and the reduction runs over (tap, input channel). All convolutions of conv.h are computed here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ddpm::cpu {

// to[n, u * to_stride + to_y, v * to_stride + to_x] = bias +
// sum over taps of from[n, u * from_stride + tap.dy, v * from_stride + tap.dx] times the tap's
// weights, for u < rows, v < columns.
struct Gather {
  struct Source {
    const float* data;
    int64_t pitch;     // floats of a pixel
    int64_t channels;  // that a tap reads
  };
  struct Tap {
    int64_t dy, dx;
    const float* weights;
    Source from;
  };
  int64_t from_height, from_width, from_stride;
  float* to;
  int64_t to_height, to_width, to_channels, to_stride, to_y, to_x;
  int64_t batch, rows, columns;
  std::vector<Tap> taps;
  int64_t weight_stride;    // row stride of a tap's weights
  bool weights_transposed;  // false: [from channels, to_channels], true: the other way round
  const float* bias;

  // A 1x1 convolution: pixel i of `to` reads pixel i of every tap's source.
  bool pixel_to_pixel() const {
    return std::all_of(taps.begin(), taps.end(),
                       [](const Tap& tap) { return tap.dy == 0 && tap.dx == 0; }) &&
           from_stride == 1 && to_stride == 1 && rows == from_height && columns == from_width &&
           rows == to_height && columns == to_width;
  }
  bool taps_alike() const {
    return std::all_of(taps.begin(), taps.end(),
                       [&](const Tap& tap) { return tap.from.channels == taps[0].from.channels; });
  }
};

// Computes it on all threads. Bits depend on neither their number nor the other images of a batch.
void run_gather(const Gather& gather);

}  // namespace ddpm::cpu
