// Shapes of convolutions. For tests.
#pragma once

#include "ddpm/kernels/cpu/conv/conv_shape.h"

namespace ddpm::cpu {

// A square image and a square kernel, padded so that an odd kernel keeps the size.
inline ConvShape square(int64_t batch, int64_t size, int64_t channels, int64_t outputs,
                        int64_t kernel) {
  return {.batch = batch,
          .height = size,
          .width = size,
          .channels = channels,
          .kernel_height = kernel,
          .kernel_width = kernel,
          .outputs = outputs,
          .padding = kernel / 2};
}

}  // namespace ddpm::cpu
