#include "ddpm/eval/square_pictures.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/pixels.h"

namespace ddpm {
namespace {

constexpr int64_t kLargestSide = 16384, kSmallestSide = 8;

// The source pixels first, first + 1, ... that make one target pixel. All weights of an axis have
// the same unit, and their sum for a target pixel is `sum`.
struct Window {
  int64_t first = 0, sum = 0;
  std::vector<int64_t> weights;
};

// With centres in units of 1 / (2 from to), the distance of source pixel j from target pixel i is
// |(2j + 1) to - (2i + 1) from|, and half the width of the filter is 2 max(from, to).
std::vector<Window> windows(int64_t from, int64_t to) {
  const int64_t reach = 2 * std::max(from, to);
  std::vector<Window> all(static_cast<size_t>(to));
  for (int64_t i = 0; i < to; ++i) {
    Window& window = all[static_cast<size_t>(i)];
    for (int64_t j = 0; j < from; ++j) {
      const int64_t weight = reach - std::abs((2 * j + 1) * to - (2 * i + 1) * from);
      if (weight <= 0) continue;
      if (window.weights.empty()) window.first = j;
      window.weights.push_back(weight);
      window.sum += weight;
    }
  }
  return all;
}

// One picture [H, W, 3] -> [side, side, 3]. The sums stay below 2^63: with a side of 8 or more,
// each axis multiplies a byte by at most 2^26.
void resample(const uint8_t* picture, int64_t width, const std::vector<Window>& rows,
              const std::vector<Window>& columns, float* out) {
  const size_t row_length = static_cast<size_t>(3 * width);
  std::vector<int64_t> sums(row_length);
  for (const Window& row : rows) {
    std::fill(sums.begin(), sums.end(), 0);
    for (size_t j = 0; j < row.weights.size(); ++j) {
      const uint8_t* from = picture + (static_cast<size_t>(row.first) + j) * row_length;
      for (size_t i = 0; i < row_length; ++i) sums[i] += row.weights[j] * from[i];
    }
    for (const Window& column : columns) {
      const double range = static_cast<double>(row.sum * column.sum) * 127.5;
      for (int64_t c = 0; c < 3; ++c) {
        int64_t sum = 0;
        for (size_t j = 0; j < column.weights.size(); ++j) {
          sum += column.weights[j] * sums[3 * (static_cast<size_t>(column.first) + j) + c];
        }
        // The division and the subtraction each round to nearest, as IEEE 754 demands.
        *out++ = static_cast<float>(static_cast<double>(sum) / range - 1.0);
      }
    }
  }
}

}  // namespace

void check_pictures(std::string_view where, const Tensor& images) {
  const bool good = images.defined() && images.dtype() == DType::kUInt8 &&
                    images.shape().rank() == 4 && images.size(1) >= 1 && images.size(2) >= 1 &&
                    (images.size(3) == 1 || images.size(3) == 3 || images.size(3) == 4);
  if (good) return;
  fail(where, images.defined()
                  ? fmt::format("needs pictures as bytes [N, H, W, 1, 3 or 4], not {} {}",
                                name_of(images.dtype()), images.shape().str())
                  : "needs pictures as bytes [N, H, W, 1, 3 or 4], not an empty tensor");
}

Tensor three_channels(const Tensor& images) {
  check_pictures("features", images);
  const Shape& s = images.shape();
  const Tensor tall = images.reshape({s[0] * s[1], s[2], s[3]});
  return convert_channels(tall, 3, {255, 255, 255}).reshape({s[0], s[1], s[2], 3});
}

Tensor square_pictures(const Tensor& images, int64_t side) {
  check_pictures("features", images);
  DDPM_CHECK(side >= kSmallestSide);
  const int64_t count = images.size(0), height = images.size(1), width = images.size(2);
  if (std::max(height, width) > kLargestSide) {
    fail("features", fmt::format("pictures of {}x{} are too large; sides may be up to {}", height,
                                 width, kLargestSide));
  }
  const std::vector<Window> rows = windows(height, side), columns = windows(width, side);
  Tensor result({count, side, side, 3});
  float* out = result.f32();
  parallel_tasks(count, [&](int64_t n) {
    const Tensor picture = three_channels(images.rows(n, n + 1));
    resample(picture.u8(), width, rows, columns, out + n * side * side * 3);
  });
  return result;
}

}  // namespace ddpm
