#include "ddpm/kernels/cpu/conv/tap_rows.h"

#include <algorithm>

namespace ddpm::cpu {
namespace {

constexpr int64_t kFewChannels = 16;  // from here on, a tap alone is long enough

bool needs_border(const ConvShape& s) { return tap_span(s) > 1 && s.padding > 0; }

ConvShape with_border(ConvShape s) {
  if (!needs_border(s)) return s;
  s.height += 2 * s.padding, s.width += 2 * s.padding, s.padding = 0;
  return s;
}

}  // namespace

int64_t tap_span(const ConvShape& s) {
  return s.channels < kFewChannels ? std::max<int64_t>(1, s.kernel_width) : 1;
}

TapImage::TapImage(const ConvShape& s, const float* x)
    : shape_(with_border(s)),
      copy_(needs_border(s) ? shape_.batch * shape_.height * shape_.width * shape_.channels : 0),
      data_(x) {
  if (!needs_border(s)) return;
  float* to = copy_.data();
  const int64_t row = s.width * s.channels, border = s.padding * s.channels;
  for_each_task(s.batch, shape_.batch * shape_.height * shape_.width * s.channels, [&](int64_t n) {
    float* image = to + n * shape_.height * (row + 2 * border);
    for (int64_t h = 0; h < shape_.height; ++h, image += row + 2 * border) {
      const int64_t from = h - s.padding;
      if (from < 0 || from >= s.height) {
        std::fill_n(image, row + 2 * border, 0.0f);
        continue;
      }
      std::fill_n(image, border, 0.0f);
      std::copy_n(x + (n * s.height + from) * row, row, image + border);
      std::fill_n(image + border + row, border, 0.0f);
    }
  });
  data_ = to;
}

}  // namespace ddpm::cpu
