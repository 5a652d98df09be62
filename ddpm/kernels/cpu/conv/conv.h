// Direct convolution on bare pointers: images [N, H, W, C], weights [kh, kw, C, K], all dense. Any
// kernel, stride and padding; maps may be smaller than the kernel. Outputs are written, never added
// to. All functions use the threads of the pool. Results do not depend on how many threads there
// are, and the bits of one image do not depend on the others of its batch (except weight gradients,
// which sum over the batch).
#pragma once

#include "ddpm/kernels/cpu/conv/conv_shape.h"

namespace ddpm::cpu {

// y [N, P, Q, K] from x [N, H, W, C], w; bias [K] or null.
void conv_direct(const ConvShape& shape, const float* x, const float* w, const float* bias,
                 float* y);
// The same for a 1 x 1 kernel without padding.
void conv_pointwise(const ConvShape& shape, const SplitMap<const float>& x, const float* w,
                    const float* bias, float* y);
// dx [N, H, W, C] from dy [N, P, Q, K], w.
void conv_direct_backward_data(const ConvShape& shape, const float* dy, const float* w, float* dx);
// dw [kh, kw, C, K] from x, dy; dbias [K] or null.
void conv_direct_backward_weights(const ConvShape& shape, const float* x, const float* dy,
                                  float* dw, float* dbias);

}  // namespace ddpm::cpu
