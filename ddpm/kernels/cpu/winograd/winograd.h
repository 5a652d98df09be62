// Winograd's convolution F(m x m, 3 x 3), m = 2 or 4, on bare pointers: for 3 x 3 kernels with
// stride 1 and padding 1, on maps of any size and any number of channels. It takes 2.25 (m = 2) or
// 4 (m = 4) times fewer multiplications than conv.h. Conventions are the same. The relative error
// against exact arithmetic is about 3e-7 (m = 2) or 1e-6 (m = 4).
#pragma once

#include "ddpm/kernels/cpu/conv/conv_shape.h"
#include "ddpm/kernels/cpu/work/tasks.h"

namespace ddpm::cpu {

inline bool winograd_applies(const ConvShape& s) {
  return s.kernel_height == 3 && s.kernel_width == 3 && s.stride == 1 && s.padding == 1;
}

// w [3, 3, C, K]; where mean [K] and rstd [K] are given, (w - mean) rstd.
struct WinogradWeights {
  const float* w;
  const float* mean = nullptr;
  const float* rstd = nullptr;
};

// The weights of a forward pass transformed once for many calls, on maps of any size and number.
class PreparedWinograd {
 public:
  PreparedWinograd(int64_t m, const ConvShape& shape, const WinogradWeights& weights);
  // What one takes.
  static int64_t bytes(int64_t m, const ConvShape& shape);
  int64_t tile() const { return m_; }
  const float* panels() const { return panels_.data(); }

 private:
  int64_t m_;
  Scratch<> panels_;  // U [panel of outputs][block of channels]
};

// x [N, H, W, C] -> y [N, H, W, K]; prepared, where not null, is of the same weights, which are not
// read then.
void conv_winograd(int64_t m, const ConvShape& shape, const SplitMap<const float>& x,
                   const WinogradWeights& weights, const float* bias, float* y,
                   const PreparedWinograd* prepared = nullptr);
void conv_winograd_backward_data(int64_t m, const ConvShape& shape, const float* dy,
                                 const WinogradWeights& weights, const SplitMap<float>& dx);
// dw is the gradient of the weights as used.
void conv_winograd_backward_weights(int64_t m, const ConvShape& shape,
                                    const SplitMap<const float>& x, const float* dy, float* dw,
                                    float* dbias);

}  // namespace ddpm::cpu
