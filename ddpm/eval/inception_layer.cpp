// Convolutions go through the backend, which knows equal padding on all sides only. What differs is
// made of copies, which are cheap beside the products: a map that is longer in one direction gets
// its zeros by a copy, and a 3x3 convolution without padding is computed with padding, which
// Winograd's algorithm needs, and cut.
#include "ddpm/eval/inception_layer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ddpm/autograd/functions.h"
#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/eval/square_pictures.h"

namespace ddpm {
namespace {

constexpr double kBatchNormEps = 0.001;

// The map with zeros around it.
Tensor padded(const Tensor& x, int64_t rows, int64_t columns) {
  const int64_t height = x.size(1), width = x.size(2), channels = x.size(3);
  const int64_t to_height = height + 2 * rows, to_width = width + 2 * columns;
  Tensor y({x.size(0), to_height, to_width, channels});
  const float* from = x.f32();
  float* to = y.f32();
  parallel_tasks(x.size(0), [&](int64_t n) {
    for (int64_t i = 0; i < to_height; ++i) {
      float* row = to + (n * to_height + i) * to_width * channels;
      if (i < rows || i >= rows + height) {
        std::fill_n(row, to_width * channels, 0.0f);
        continue;
      }
      std::fill_n(row, columns * channels, 0.0f);
      std::copy_n(from + (n * height + i - rows) * width * channels, width * channels,
                  row + columns * channels);
      std::fill_n(row + (columns + width) * channels, columns * channels, 0.0f);
    }
  });
  return y;
}

// ReLU, without the outermost `border` rows and columns of the map.
Tensor relu_without_border(const Tensor& x, int64_t border) {
  const int64_t width = x.size(2), channels = x.size(3);
  const int64_t to_height = x.size(1) - 2 * border, to_width = width - 2 * border;
  // In place, if all of the map is wanted.
  Tensor y = border == 0 ? x : Tensor({x.size(0), to_height, to_width, channels});
  const float* from = x.f32();
  float* to = y.f32();
  parallel_tasks(x.size(0) * to_height, [&](int64_t row) {
    const int64_t n = row / to_height, i = row % to_height + border;
    const float* in = from + ((n * x.size(1) + i) * width + border) * channels;
    float* out = to + row * to_width * channels;
    for (int64_t k = 0; k < to_width * channels; ++k) out[k] = std::max(in[k], 0.0f);
  });
  return y;
}

struct Maximum {
  static void include(const float* x, int64_t channels, float* y) {
    for (int64_t c = 0; c < channels; ++c) y[c] = std::max(y[c], x[c]);
  }
  static void finish(int64_t /*count*/, int64_t /*channels*/, float* /*y*/) {}
};

struct Mean {
  static void include(const float* x, int64_t channels, float* y) {
    for (int64_t c = 0; c < channels; ++c) y[c] += x[c];
  }
  static void finish(int64_t count, int64_t channels, float* y) {
    const float share = 1 / static_cast<float>(count);
    for (int64_t c = 0; c < channels; ++c) y[c] *= share;
  }
};

template <class Kind>
Tensor pool(const Tensor& x, int64_t stride, int64_t padding) {
  const int64_t height = x.size(1), width = x.size(2), channels = x.size(3);
  const int64_t rows = (height + 2 * padding - 3) / stride + 1;
  const int64_t columns = (width + 2 * padding - 3) / stride + 1;
  Tensor y({x.size(0), rows, columns, channels});
  const float* from = x.f32();
  float* to = y.f32();
  parallel_tasks(x.size(0) * rows, [&](int64_t row) {
    const float* map = from + row / rows * height * width * channels;
    const int64_t top = row % rows * stride - padding;
    for (int64_t j = 0; j < columns; ++j) {
      float* out = to + (row * columns + j) * channels;
      const int64_t left = j * stride - padding;
      int64_t count = 0;
      for (int64_t h = std::max<int64_t>(top, 0); h < std::min(top + 3, height); ++h) {
        for (int64_t w = std::max<int64_t>(left, 0); w < std::min(left + 3, width); ++w) {
          const float* pixel = map + (h * width + w) * channels;
          if (count++ == 0) {
            std::copy_n(pixel, channels, out);
          } else {
            Kind::include(pixel, channels, out);
          }
        }
      }
      Kind::finish(count, channels, out);
    }
  });
  return y;
}

// Where a target pixel reads along one axis.
struct Between {
  int64_t low = 0, high = 0;
  float low_share = 0, high_share = 0;
};

std::vector<Between> between_pixels(int64_t from, int64_t to) {
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  std::vector<Between> all;
  for (int64_t i = 0; i < to; ++i) {
    const float at = std::max(0.0f, (static_cast<float>(i) + 0.5f) * scale - 0.5f);
    const int64_t low = std::min(static_cast<int64_t>(at), from - 1);
    const float share = std::min(at - static_cast<float>(low), 1.0f);
    all.push_back({low, std::min(low + 1, from - 1), 1 - share, share});
  }
  return all;
}

}  // namespace

InceptionLayer::InceptionLayer(const StateDictSource& source, const std::string& name,
                               const InceptionConv& s)
    : shape_(s),
      weights_(source(name + ".conv.weight", {s.out, s.in, s.kernel_height, s.kernel_width},
                      Layout::kConvWeight)
                   .clone()),
      bias_({s.out}) {
  const auto of_bn = [&](const char* what) {
    return source(name + ".bn." + what, {s.out}, Layout::kAsIs);
  };
  const Tensor gamma = of_bn("weight"), beta = of_bn("bias");
  const Tensor mean = of_bn("running_mean"), variance = of_bn("running_var");
  std::vector<double> scale;
  for (int64_t k = 0; k < s.out; ++k) {
    scale.push_back(gamma.f32()[k] / std::sqrt(variance.f32()[k] + kBatchNormEps));
    bias_.f32()[k] = static_cast<float>(beta.f32()[k] - mean.f32()[k] * scale.back());
  }
  bool finite = true;
  float* w = weights_.f32();
  for (int64_t i = 0; i < weights_.elements(); ++i) {
    w[i] = static_cast<float>(w[i] * scale[static_cast<size_t>(i % s.out)]);
    finite = finite && std::isfinite(w[i]);
  }
  for (const float value : bias_.values()) finite = finite && std::isfinite(value);
  if (!finite) fail("inception", fmt::format("the layer {} has weights that are not finite", name));
}

Tensor InceptionLayer::operator()(const Tensor& x) const {
  const InceptionConv& s = shape_;
  const bool equal = s.pad_rows == s.pad_columns;
  const bool cut =
      s.kernel_height == 3 && s.kernel_width == 3 && s.stride == 1 && equal && s.pad_rows == 0;
  const ConvArgs args{.stride = s.stride, .padding = cut ? 1 : equal ? s.pad_rows : 0};
  const Variable bias(bias_);
  const Variable input(equal ? x : padded(x, s.pad_rows, s.pad_columns));
  const Tensor y = conv2d(input, Variable(weights_), &bias, args).value();
  return relu_without_border(y, cut ? 1 : 0);
}

Tensor inception_pool(InceptionPool kind, const Tensor& x) {
  switch (kind) {
    case InceptionPool::kMaximumHalving:
      return pool<Maximum>(x, 2, 0);
    case InceptionPool::kMaximum:
      return pool<Maximum>(x, 1, 1);
    case InceptionPool::kMean:
      break;
  }
  return pool<Mean>(x, 1, 1);
}

Tensor mean_over_positions(const Tensor& x) {
  const int64_t positions = x.size(1) * x.size(2), channels = x.size(3);
  Tensor y({x.size(0), channels});
  for (int64_t n = 0; n < x.size(0); ++n) {
    std::vector<double> sums(static_cast<size_t>(channels));
    const float* from = x.f32() + n * positions * channels;
    for (int64_t i = 0; i < positions * channels; ++i) {
      sums[static_cast<size_t>(i % channels)] += from[i];
    }
    for (int64_t c = 0; c < channels; ++c) {
      y.f32()[n * channels + c] =
          static_cast<float>(sums[static_cast<size_t>(c)] / static_cast<double>(positions));
    }
  }
  return y;
}

Tensor concat_maps(const std::vector<Tensor>& maps) {
  const Shape& first = maps.front().shape();
  int64_t channels = 0;
  for (const Tensor& map : maps) channels += map.size(3);
  Tensor y({first[0], first[1], first[2], channels});
  float* to = y.f32();
  const int64_t row = first[2];
  parallel_tasks(first[0] * first[1], [&](int64_t task) {
    int64_t offset = 0;
    for (const Tensor& map : maps) {
      const int64_t width = map.size(3);
      const float* from = map.f32() + task * row * width;
      for (int64_t j = 0; j < row; ++j) {
        std::copy_n(from + j * width, width, to + (task * row + j) * channels + offset);
      }
      offset += width;
    }
  });
  return y;
}

Tensor bilinear_pictures(const Tensor& images, int64_t side) {
  const Tensor pixels = three_channels(images);
  const int64_t count = images.size(0), height = images.size(1), width = images.size(2);
  const std::vector<Between> rows = between_pixels(height, side),
                             columns = between_pixels(width, side);
  Tensor result({count, side, side, 3});
  const uint8_t* from = pixels.u8();
  float* to = result.f32();
  parallel_tasks(count * side, [&](int64_t task) {
    const Between& row = rows[static_cast<size_t>(task % side)];
    const uint8_t* picture = from + task / side * height * width * 3;
    const uint8_t *upper = picture + row.low * width * 3, *lower = picture + row.high * width * 3;
    float* out = to + task * side * 3;
    for (const Between& column : columns) {
      for (int64_t c = 0; c < 3; ++c) {
        const auto across = [&](const uint8_t* line) {
          return column.low_share * static_cast<float>(line[column.low * 3 + c]) +
                 column.high_share * static_cast<float>(line[column.high * 3 + c]);
        };
        const float value = row.low_share * across(upper) + row.high_share * across(lower);
        *out++ = value / 127.5f - 1;
      }
    }
  });
  return result;
}

}  // namespace ddpm
