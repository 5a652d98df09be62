// Rows of taps. With few channels, each tap of a kernel row reads only a few numbers, but these lie
// side by side: one longer tap reads kernel_width * channels numbers where they are. It must not
// leave the image, so the image is copied with its padding.
#pragma once

#include "ddpm/kernels/cpu/conv/conv_shape.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {

// Pixels that one tap reads: kernel_width where rows of taps pay, else 1.
int64_t tap_span(const ConvShape& shape);

// x with its border of zeros, [N, H + 2 padding, W + 2 padding, C], where a tap spans pixels; x
// itself elsewhere. The shape is that of the same convolution of this image.
class TapImage {
 public:
  TapImage(const ConvShape& shape, const float* x);

  const ConvShape& shape() const { return shape_; }
  const float* data() const { return data_; }

 private:
  ConvShape shape_;
  Scratch<> copy_;
  const float* data_;
};

}  // namespace ddpm::cpu
