// Four 3x3 convolutions with fixed random weights and ReLU, on pictures of 32x32. Between them maps
// are halved by averaging. The features are means over the map after the first and the third layer,
// which tell of noise, blur and strokes, and over each quarter of the map after the fourth, which
// tell where things are.
//
// The same picture has the same bits everywhere, so that figures of different people can be
// compared. Every sum has a fixed order, and this file is compiled without fused multiply-adds. The
// only functions are the operations and the square root of IEEE 754, which round in one way.
// Anything that changes a bit needs a new name.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "ddpm/base/philox.h"
#include "ddpm/base/threads.h"
#include "ddpm/eval/features.h"
#include "ddpm/eval/square_pictures.h"

namespace ddpm {
namespace {

constexpr uint64_t kSeed = 1;
constexpr int64_t kSide = 32;
// Outputs that are summed side by side. They divide the outputs of every layer.
constexpr int64_t kBlock = 32;
// So that a hundredth of the distance between digits and noise is about 1.
constexpr float kScale = 32;

// About normal, with variance 1: a sum of four uniform numbers of 22 bits, which float32 holds
// exactly. (Box-Muller would need a logarithm, and mathematical libraries differ.)
float nearly_normal(const Philox& random, uint64_t position) {
  constexpr float kRootOfThree = 1.7320508f;
  int32_t sum = -(1 << 23);
  for (uint64_t i = 0; i < 4; ++i) {
    sum += static_cast<int32_t>(random.bits(4 * position + i) >> 10);
  }
  return static_cast<float>(sum) * 0x1p-22f * kRootOfThree;
}

// A 3x3 convolution with padding 1, and ReLU.
class RandomLayer {
 public:
  // The filters have mean zero, so that a flat region gives only the bias, and variance 2 / inputs
  // (He et al. 2015, arXiv:1502.01852).
  RandomLayer(int64_t in, int64_t out, uint64_t stream)
      : in_(in), out_(out), weights_(9 * in * out), bias_(out) {
    const Philox random(kSeed, stream);
    const float inputs = static_cast<float>(9 * in), deviation = std::sqrt(2 / inputs);
    for (size_t i = 0; i < weights_.size(); ++i) weights_[i] = nearly_normal(random, i) * deviation;
    for (int64_t k = 0; k < out; ++k) {
      float sum = 0;
      for (int64_t i = 0; i < 9 * in; ++i) sum += weights_[i * out + k];
      for (int64_t i = 0; i < 9 * in; ++i) weights_[i * out + k] -= sum / inputs;
      bias_[k] = nearly_normal(random, weights_.size() + k) * 0.1f;
    }
  }

  int64_t outputs() const { return out_; }

  // x [side, side, in] -> [side, side, out]
  std::vector<float> operator()(const std::vector<float>& x, int64_t side) const {
    const std::vector<float> padded = pad(x, side);
    std::vector<float> y(side * side * out_);
    for (int64_t i = 0; i < side; ++i) {
      for (int64_t j = 0; j < side; ++j) {
        const float* corner = padded.data() + (i * (side + 2) + j) * in_;
        float* to = y.data() + (i * side + j) * out_;
        for (int64_t k = 0; k < out_; k += kBlock) pixel(corner, (side + 2) * in_, k, to + k);
      }
    }
    return y;
  }

 private:
  std::vector<float> pad(const std::vector<float>& x, int64_t side) const {
    std::vector<float> padded((side + 2) * (side + 2) * in_);
    for (int64_t i = 0; i < side; ++i) {
      std::copy_n(x.data() + i * side * in_, side * in_,
                  padded.data() + ((i + 1) * (side + 2) + 1) * in_);
    }
    return padded;
  }

  // Outputs k ... k + kBlock - 1 of the pixel whose window begins at `corner`.
  void pixel(const float* corner, int64_t row, int64_t k, float* to) const {
    std::array<float, kBlock> sums;
    std::copy_n(bias_.data() + k, kBlock, sums.data());
    for (int64_t r = 0; r < 3; ++r) {
      const float* from = corner + r * row;
      const float* weights = weights_.data() + r * 3 * in_ * out_ + k;
      for (int64_t c = 0; c < 3 * in_; ++c, weights += out_) {
        for (int64_t i = 0; i < kBlock; ++i) sums[i] += from[c] * weights[i];
      }
    }
    for (int64_t i = 0; i < kBlock; ++i) to[i] = sums[i] > 0 ? sums[i] : 0;
  }

  int64_t in_, out_;
  std::vector<float> weights_;  // [3, 3, in, out]
  std::vector<float> bias_;     // [out]
};

// x [side, side, C] -> [side / cell, side / cell, C], the mean of each cell.
std::vector<float> cell_means(const std::vector<float>& x, int64_t side, int64_t channels,
                              int64_t cell) {
  const int64_t cells = side / cell;
  std::vector<float> y(cells * cells * channels);
  for (int64_t i = 0; i < side; ++i) {
    for (int64_t j = 0; j < side; ++j) {
      const float* from = x.data() + (i * side + j) * channels;
      float* to = y.data() + (i / cell * cells + j / cell) * channels;
      for (int64_t c = 0; c < channels; ++c) to[c] += from[c];
    }
  }
  for (float& value : y) value /= static_cast<float>(cell * cell);
  return y;
}

class RandomFeatures : public FeatureNetwork {
 public:
  std::string name() const override { return "random-v1"; }
  int64_t width() const override {
    return layers_[0].outputs() + layers_[2].outputs() + 4 * layers_[3].outputs();
  }

  Tensor operator()(const Tensor& images) const override {
    check_pictures("features", images);
    Tensor features({images.size(0), width()});
    float* out = features.f32();
    parallel_tasks(images.size(0), [&](int64_t n) {
      const std::vector<float> values = of_picture(square_pictures(images.rows(n, n + 1), kSide));
      std::copy(values.begin(), values.end(), out + n * width());
    });
    return features;
  }

 private:
  std::vector<float> of_picture(const Tensor& picture) const {
    std::vector<float> features, x = picture.values();
    const auto keep = [&](const std::vector<float>& means) {
      for (const float mean : means) features.push_back(kScale * mean);
    };
    int64_t side = kSide;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const std::vector<float> y = layers_[i](x, side);
      const int64_t channels = layers_[i].outputs();
      if (i == 0 || i == 2) keep(cell_means(y, side, channels, side));
      if (i == 3) keep(cell_means(y, side, channels, side / 2));
      x = cell_means(y, side, channels, 2);
      side /= 2;
    }
    return features;
  }

  const std::array<RandomLayer, 4> layers_ = {RandomLayer(3, 32, 0), RandomLayer(32, 64, 1),
                                              RandomLayer(64, 96, 2), RandomLayer(96, 32, 3)};
};

}  // namespace

std::unique_ptr<FeatureNetwork> random_features() { return std::make_unique<RandomFeatures>(); }

}  // namespace ddpm
