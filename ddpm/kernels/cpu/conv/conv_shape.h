// The extents of a convolution, and maps whose channels lie in two arrays.
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

}  // namespace ddpm::cpu
