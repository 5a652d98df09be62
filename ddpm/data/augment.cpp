// Each pixel of the result is a sum over a small rectangle of the source, whose weights are a
// product of weights of columns and of rows.
#include "ddpm/data/augment.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ddpm/base/error.h"
#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/catmull_rom.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

// 2 x 2, by rows.
struct Matrix {
  double xx = 1, xy = 0, yx = 0, yy = 1;

  Matrix operator*(const Matrix& b) const {
    return {xx * b.xx + xy * b.yx, xx * b.xy + xy * b.yy, yx * b.xx + yy * b.yx,
            yx * b.xy + yy * b.yy};
  }
};

// Coordinates have y pointing down.
Matrix rotation(double angle) {
  return {std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle)};
}

// From a place in the result to its place in the source, both relative to the centre of a pixel
// grid: source = linear (result - shift).
struct SourceMap {
  Matrix linear;
  double shift_x, shift_y;
};

SourceMap source_map(const Augmentation& a, int64_t height, int64_t width) {
  const double scale = std::exp2(-a.scale / 5), stretch = std::exp2(a.stretch / 5);
  const Matrix shrink{scale, 0, 0, scale}, across{1 / stretch, 0, 0, stretch};
  return {
      .linear = shrink * rotation(a.turn) * rotation(-a.direction) * across * rotation(a.direction),
      .shift_x = a.shift_x * static_cast<double>(width) / 8,
      .shift_y = a.shift_y * static_cast<double>(height) / 8};
}

// The samples along one axis of the source that a pixel of the result is made of.
struct Taps {
  std::vector<int64_t> index;
  std::vector<double> weight;

  // `centre` is a place among `size` samples. The kernel is `wider` times as wide as its usual
  // form.
  void set(double centre, double wider, int64_t size, bool mirrored);
};

// Sample i of `size` samples that go on mirrored about the first and the last.
int64_t reflected(int64_t i, int64_t size) {
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1);
  i = (i % period + period) % period;
  return i < size ? i : period - i;
}

void Taps::set(double centre, double wider, int64_t size, bool mirrored) {
  index.clear();
  weight.clear();
  const double reach = 2 * wider;
  double sum = 0;
  const auto end = static_cast<int64_t>(std::floor(centre + reach));
  for (auto i = static_cast<int64_t>(std::ceil(centre - reach)); i <= end; ++i) {
    const int64_t at = reflected(i, size);
    index.push_back(mirrored ? size - 1 - at : at);
    weight.push_back(catmull_rom((static_cast<double>(i) - centre) / wider));
    sum += weight.back();
  }
  for (double& one : weight) one /= sum;
}

// One picture.
class Resampler {
 public:
  Resampler(const Augmentation& augmentation, int64_t height, int64_t width, int64_t channels)
      : augmentation_(augmentation), height_(height), width_(width), channels_(channels) {}

  void run(const float* in, float* out);

 private:
  void copy(const float* in, float* out) const;
  // The sum of rows_ times columns_.
  void filter(const float* in, float* out);

  Augmentation augmentation_;
  int64_t height_, width_, channels_;
  Taps rows_, columns_;
  std::vector<double> sums_;
};

void Resampler::copy(const float* in, float* out) const {
  for (int64_t y = 0; y < height_; ++y) {
    const int64_t from_y = augmentation_.mirror_y ? height_ - 1 - y : y;
    for (int64_t x = 0; x < width_; ++x) {
      const int64_t from_x = augmentation_.mirror_x ? width_ - 1 - x : x;
      std::copy_n(in + (from_y * width_ + from_x) * channels_, channels_,
                  out + (y * width_ + x) * channels_);
    }
  }
}

void Resampler::filter(const float* in, float* out) {
  const bool has_alpha = channels_ == 4;
  const int64_t colours = has_alpha ? 3 : channels_;
  sums_.assign(static_cast<size_t>(channels_), 0.0);
  // Opacity from 0 to 1.
  double opacity = 0;
  for (size_t r = 0; r < rows_.index.size(); ++r) {
    for (size_t k = 0; k < columns_.index.size(); ++k) {
      const float* pixel = in + (rows_.index[r] * width_ + columns_.index[k]) * channels_;
      double weight = rows_.weight[r] * columns_.weight[k];
      if (has_alpha) {
        weight *= (pixel[3] + 1.0) / 2;
        opacity += weight;
      }
      for (int64_t c = 0; c < colours; ++c) sums_[c] += weight * pixel[c];
    }
  }
  if (has_alpha) {
    constexpr double kTransparent = 1e-6;
    // A colour that nobody sees is black, as in decoded pictures.
    for (int64_t c = 0; c < 3; ++c) sums_[c] = opacity > kTransparent ? sums_[c] / opacity : -1.0;
    sums_[3] = 2 * opacity - 1;
  }
  for (int64_t c = 0; c < channels_; ++c)
    out[c] = static_cast<float>(std::clamp(sums_[c], -1.0, 1.0));
}

void Resampler::run(const float* in, float* out) {
  if (augmentation_.keeps_geometry()) return copy(in, out);
  const SourceMap map = source_map(augmentation_, height_, width_);
  const Matrix& m = map.linear;
  const double wider_x = std::max(1.0, std::hypot(m.xx, m.xy));
  const double wider_y = std::max(1.0, std::hypot(m.yx, m.yy));
  const double centre_x = static_cast<double>(width_ - 1) / 2;
  const double centre_y = static_cast<double>(height_ - 1) / 2;
  for (int64_t y = 0; y < height_; ++y) {
    const double dy = static_cast<double>(y) - centre_y - map.shift_y;
    for (int64_t x = 0; x < width_; ++x) {
      const double dx = static_cast<double>(x) - centre_x - map.shift_x;
      columns_.set(centre_x + m.xx * dx + m.xy * dy, wider_x, width_, augmentation_.mirror_x);
      rows_.set(centre_y + m.yx * dx + m.yy * dy, wider_y, height_, augmentation_.mirror_y);
      filter(in, out + (y * width_ + x) * channels_);
    }
  }
}

}  // namespace

std::array<float, kAugmentChannels> told_of(const Augmentation& a) {
  const double told[kAugmentChannels] = {a.mirror_x ? 1.0 : 0.0,
                                         a.mirror_y ? 1.0 : 0.0,
                                         a.scale,
                                         std::cos(a.turn) - 1,
                                         std::sin(a.turn),
                                         a.stretch * std::cos(a.direction),
                                         a.stretch * std::sin(a.direction),
                                         a.shift_x,
                                         a.shift_y};
  std::array<float, kAugmentChannels> result{};
  std::transform(std::begin(told), std::end(told), result.begin(),
                 [](double value) { return static_cast<float>(value); });
  return result;
}

Augmentation draw_augmentation(double probability, uint64_t seed) {
  Augmentation drawn;
  if (probability == 0) return drawn;
  const Philox random(seed);
  float normal[4];
  Philox(seed, 1).normal(0, 4, normal);
  // Each decision has a position of its own, so that no probability changes the other numbers.
  const auto happens = [&](uint64_t position, double how_often) {
    return random.uniform(position) < how_often;
  };
  const auto angle = [&](uint64_t position) {
    return (2.0 * random.uniform(position) - 1.0) * std::numbers::pi;
  };
  drawn.mirror_x = happens(0, 0.5);
  drawn.mirror_y = happens(1, probability) && happens(2, 0.5);
  if (happens(3, probability)) drawn.scale = normal[0];
  if (happens(4, probability)) drawn.turn = angle(5);
  if (happens(6, probability)) {
    drawn.stretch = normal[1];
    if (happens(7, 0.5)) drawn.direction = angle(8);
  }
  if (happens(9, probability)) {
    drawn.shift_x = normal[2];
    drawn.shift_y = normal[3];
  }
  return drawn;
}

Tensor augmented(const Tensor& pictures, const std::vector<Augmentation>& augmentations) {
  const Shape& shape = pictures.shape();
  if (shape.rank() != 4 || shape[0] != static_cast<int64_t>(augmentations.size())) {
    fail("augment", fmt::format("there are {} augmentations for pictures {}; give one for each of "
                                "[N, H, W, C]",
                                augmentations.size(), shape.str()));
  }
  Tensor result(shape);
  const int64_t elements = shape[1] * shape[2] * shape[3];
  parallel_tasks(shape[0], [&](int64_t n) {
    Resampler(augmentations[n], shape[1], shape[2], shape[3])
        .run(pictures.f32() + n * elements, result.f32() + n * elements);
  });
  return result;
}

Batch augmented(const Batch& batch, double probability, uint64_t seed, uint64_t first) {
  Batch result = batch;
  const int64_t count = batch.images.size(0);
  result.augment = Tensor({count, kAugmentChannels}, DType::kFloat32, batch.images.device());
  if (!batch.images.memory().holds_values()) return result;
  std::vector<Augmentation> augmentations;
  for (int64_t n = 0; n < count; ++n) {
    const uint64_t position = first + static_cast<uint64_t>(n);
    augmentations.push_back(draw_augmentation(probability, mix_seed(seed, position)));
    const auto told = told_of(augmentations.back());
    std::copy(told.begin(), told.end(), result.augment.f32() + n * kAugmentChannels);
  }
  result.images = augmented(batch.images, augmentations);
  if (batch.condition.defined()) result.condition = augmented(batch.condition, augmentations);
  return result;
}

}  // namespace ddpm
