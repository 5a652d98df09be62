// Winograd's convolution F(m x m, 3 x 3), m = 2 or 4, on bare pointers, for 3 x 3 kernels with
// stride 1 and padding 1 on maps of any size and any number of channels: 2.25 (m = 2) or 4 (m = 4)
// times fewer multiplications than conv.h, the same conventions. Relative error against exact
// arithmetic about 1e-6 (m = 4), 3e-7 (m = 2).
#pragma once

#include "ddpm/kernels/cpu/conv.h"

namespace ddpm::cpu {

inline bool winograd_applies(const ConvShape& s) {
  return s.kernel_height == 3 && s.kernel_width == 3 && s.stride == 1 && s.padding == 1;
}

void conv_winograd(int64_t m, const ConvShape& shape, const float* x, const float* w,
                   const float* bias, float* y);
void conv_winograd_backward_data(int64_t m, const ConvShape& shape, const float* dy, const float* w,
                                 float* dx);
void conv_winograd_backward_weights(int64_t m, const ConvShape& shape, const float* x,
                                    const float* dy, float* dw, float* dbias);

}  // namespace ddpm::cpu
