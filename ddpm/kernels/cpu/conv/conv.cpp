// The convolutions as gathers (gather.h). Backward-data is the same gather as the forward pass,
// with transposed weights. With stride s it takes s x s gathers, one for each phase of the pixels
// of dx. Each phase has its own taps, so nothing is multiplied by an inserted zero. With few
// channels a tap is a whole row of the kernel (tap_rows.h).
#include "ddpm/kernels/cpu/conv/conv.h"

#include <algorithm>

#include "ddpm/kernels/cpu/conv/gather.h"
#include "ddpm/kernels/cpu/conv/tap_rows.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {
namespace {

// The gather of the forward pass, without its taps.
Gather forward_gather(const ConvShape& s, const float* bias, float* y) {
  Gather g;
  g.from_height = s.height, g.from_width = s.width;
  g.from_stride = s.stride;
  g.to = y;
  g.to_height = s.out_height(), g.to_width = s.out_width(), g.to_channels = s.outputs;
  g.to_stride = 1, g.to_y = 0, g.to_x = 0;
  g.batch = s.batch, g.rows = g.to_height, g.columns = g.to_width;
  g.weight_stride = s.outputs;
  g.weights_transposed = false;
  g.bias = bias;
  return g;
}

}  // namespace

void conv_direct(const ConvShape& shape, const float* x, const float* w, const float* bias,
                 float* y) {
  const TapImage image(shape, x);
  const ConvShape& s = image.shape();
  const int64_t span = tap_span(s);
  Gather g = forward_gather(s, bias, y);
  for (int64_t i = 0; i < s.kernel_height; ++i) {
    for (int64_t j = 0; j < s.kernel_width; j += span) {
      const float* weights = w + (i * s.kernel_width + j) * s.channels * s.outputs;
      g.taps.push_back(
          {i - s.padding, j - s.padding, weights, {image.data(), s.channels, span * s.channels}});
    }
  }
  run_gather(g);
}

void conv_pointwise(const ConvShape& s, const SplitMap<const float>& x, const float* w,
                    const float* bias, float* y) {
  Gather g = forward_gather(s, bias, y);
  x.for_each_part(0, s.channels, s.channels,
                  [&](const float* map, int64_t width, int64_t, int64_t first, int64_t count) {
                    g.taps.push_back({0, 0, w + first * s.outputs, {map, width, count}});
                  });
  run_gather(g);
}

namespace {

// With stride 1, backward-data is the convolution of dy with the kernel turned by half a circle and
// its matrices transposed. Where dy has few channels it is computed as such a convolution, because
// rows of taps then make it faster.
bool backward_by_tap_rows(const ConvShape& s) {
  const ConvShape turned = {.channels = s.outputs, .kernel_width = s.kernel_width};
  return tap_span(turned) > 1 && s.stride == 1 && s.kernel_height == s.kernel_width &&
         s.padding < s.kernel_width;
}

void backward_data_by_tap_rows(const ConvShape& s, const float* dy, const float* w, float* dx) {
  const int64_t taps = s.kernel_height * s.kernel_width;
  Scratch<> memory(taps * s.channels * s.outputs);
  float* turned = memory.data();
  for (int64_t t = 0; t < taps; ++t) {
    const float* from = w + (taps - 1 - t) * s.channels * s.outputs;
    for (int64_t k = 0; k < s.outputs; ++k) {
      for (int64_t c = 0; c < s.channels; ++c) *turned++ = from[c * s.outputs + k];
    }
  }
  conv_direct({.batch = s.batch,
               .height = s.out_height(),
               .width = s.out_width(),
               .channels = s.outputs,
               .kernel_height = s.kernel_height,
               .kernel_width = s.kernel_width,
               .outputs = s.channels,
               .padding = s.kernel_width - 1 - s.padding},
              dy, memory.data(), nullptr, dx);
}

}  // namespace

void conv_direct_backward_data(const ConvShape& s, const float* dy, const float* w, float* dx) {
  if (backward_by_tap_rows(s)) return backward_data_by_tap_rows(s, dy, w, dx);
  // dx[h] gathers dy[(h + padding - i) / stride] over the taps i that divide evenly: with
  // h = stride * u + phase those are dy[u + (phase + padding - i) / stride].
  for (int64_t py = 0; py < std::min(s.stride, s.height); ++py) {
    for (int64_t px = 0; px < std::min(s.stride, s.width); ++px) {
      Gather g;
      g.from_height = s.out_height(), g.from_width = s.out_width();
      g.from_stride = 1;
      g.to = dx;
      g.to_height = s.height, g.to_width = s.width, g.to_channels = s.channels;
      g.to_stride = s.stride, g.to_y = py, g.to_x = px;
      g.batch = s.batch;
      g.rows = ceil_div(s.height - py, s.stride), g.columns = ceil_div(s.width - px, s.stride);
      for (int64_t i = 0; i < s.kernel_height; ++i) {
        for (int64_t j = 0; j < s.kernel_width; ++j) {
          const int64_t y = py + s.padding - i, x = px + s.padding - j;
          if (y % s.stride != 0 || x % s.stride != 0) continue;
          const float* weights = w + (i * s.kernel_width + j) * s.channels * s.outputs;
          g.taps.push_back({y / s.stride, x / s.stride, weights, {dy, s.outputs, s.outputs}});
        }
      }
      g.weight_stride = s.outputs;
      g.weights_transposed = true;
      g.bias = nullptr;
      run_gather(g);
    }
  }
}

}  // namespace ddpm::cpu
