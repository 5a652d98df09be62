// Direct convolution on bare pointers: images [N, H, W, C], weights [kh, kw, C, K], all dense. Any
// kernel, stride and padding; also maps smaller than the kernel. Outputs are written, never added
// to. All use the threads of parallel_for; results do not depend on their number, nor the bits of
// one image on the others of its batch (weight gradients excepted, which sum over the batch).
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
