// Direct convolution on bare pointers: images [N, H, W, C], weights [kh, kw, C, K], all dense. Any
// kernel, stride and padding; also maps smaller than the kernel. Outputs are written, never added
// to. All use the threads of parallel_for; results do not depend on their number, nor the bits of
// one image on the others of its batch (weight gradients excepted, which sum over the batch).
#pragma once

#include <algorithm>
#include <cstdint>

namespace ddpm::cpu {

struct ConvShape {
  int64_t batch = 1;
  int64_t height = 1, width = 1, channels = 1;  // of x
  int64_t kernel_height = 1, kernel_width = 1, outputs = 1;
  int64_t stride = 1, padding = 0;

  int64_t out_height() const { return (height + 2 * padding - kernel_height) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - kernel_width) / stride + 1; }
  // Multiplications and additions of one pass, padding counted like data.
  double flops() const {
    return 2.0 * static_cast<double>(batch * out_height() * out_width() * outputs) *
           static_cast<double>(kernel_height * kernel_width * channels);
  }
};

// Maps [N, H, W, .] whose channels lie in one array or, the rest of them, in a second one.
template <class T>
struct SplitMap {
  T* first;
  int64_t first_channels;  // all, where second is null
  T* second = nullptr;

  // Calls visit(array, its channels, first channel in it, first channel overall, count) for the
  // parts of channels [begin, end).
  template <class Visit>
  void for_each_part(int64_t begin, int64_t end, int64_t channels, const Visit& visit) const {
    const int64_t middle = std::min(std::max(first_channels, begin), end);
    if (begin < middle) visit(first, first_channels, begin, begin, middle - begin);
    if (middle < end) {
      visit(second, channels - first_channels, middle - first_channels, middle, end - middle);
    }
  }
};

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
