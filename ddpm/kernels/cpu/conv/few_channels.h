// 1x1 convolutions between at most kFewChannels channels and many, as at both ends of a network
// that works on pictures. The register tile of conv.h would waste most of its work there: with 3
// outputs it computes 16, and with 3 inputs its reduction has 3 steps. Conventions and promises as
// in conv.h.
#pragma once

#include "ddpm/kernels/cpu/conv/conv_shape.h"

namespace ddpm::cpu {

inline constexpr int64_t kFewChannels = 4;

// Narrow networks stay with conv.h: there is nothing to gain.
inline bool few_channels_apply(const ConvShape& s) {
  constexpr int64_t kMany = 32;
  const bool ends = (s.channels <= kFewChannels && s.outputs >= kMany) ||
                    (s.outputs <= kFewChannels && s.channels >= kMany);
  return ends && s.channels > 0 && s.outputs > 0 && s.kernel_height == 1 && s.kernel_width == 1 &&
         s.stride == 1 && s.padding == 0;
}

void conv_few(const ConvShape& shape, const float* x, const float* w, const float* bias, float* y);
void conv_few_backward_data(const ConvShape& shape, const float* dy, const float* w, float* dx);
void conv_few_backward_weights(const ConvShape& shape, const float* x, const float* dy, float* dw,
                               float* dbias);

}  // namespace ddpm::cpu
