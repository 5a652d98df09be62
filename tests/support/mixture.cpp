#include "tests/support/mixture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ddpm/base/philox.h"
#include "ddpm/nn/tutorial/unet.h"

namespace ddpm::test {
namespace {

constexpr int64_t kD = 4;  // values of an image

struct Component {
  float weight, deviation;
  std::array<float, kD> mean;
};
constexpr std::array<Component, 3> kComponents = {{{0.5f, 0.08f, {0.6f, 0.6f, -0.6f, -0.6f}},
                                                   {0.3f, 0.10f, {-0.6f, 0.2f, 0.6f, -0.2f}},
                                                   {0.2f, 0.05f, {0.0f, -0.7f, 0.0f, 0.7f}}}};

double distance(const float* a, const float* b) {
  double square = 0;
  for (int64_t i = 0; i < kD; ++i) square += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::sqrt(square);
}

// The mean over all pairs, those of one image with itself left out where the sets are the same.
double mean_distance(const Tensor& a, const Tensor& b) {
  double sum = 0, pairs = 0;
  const bool same = a.f32() == b.f32();
  for (int64_t i = 0; i < a.size(0); ++i) {
    for (int64_t j = 0; j < b.size(0); ++j) {
      if (same && i == j) continue;
      sum += distance(a.f32() + i * kD, b.f32() + j * kD);
      ++pairs;
    }
  }
  return sum / pairs;
}

}  // namespace

Shape mixture_image() { return {2, 2, 1}; }

Tensor mixture_samples(uint64_t seed, int64_t first, int64_t count) {
  Tensor images({count, 2, 2, 1});
  const Philox choice(seed, 0), noise(seed, 1);
  for (int64_t n = 0; n < count; ++n) {
    const auto position = static_cast<uint64_t>(first + n);
    float left = choice.uniform(position);
    size_t chosen = 0;
    while (chosen + 1 < kComponents.size() && left >= kComponents[chosen].weight) {
      left -= kComponents[chosen++].weight;
    }
    float* to = images.f32() + n * kD;
    noise.normal(position * kD, kD, to);
    const Component& from = kComponents[chosen];
    for (size_t i = 0; i < kD; ++i) to[i] = from.mean[i] + from.deviation * to[i];
  }
  return images;
}

Tensor mixture_denoised(const Tensor& x, const NoiseLevel& level) {
  Tensor means(x.shape());
  for (int64_t n = 0; n < x.size(0); ++n) {
    const float* from = x.f32() + n * kD;
    // x of a component is normal, and so is the image given x.
    std::array<double, kComponents.size()> log_weights{};
    std::array<std::array<double, kD>, kComponents.size()> given{};
    for (size_t k = 0; k < kComponents.size(); ++k) {
      const Component& component = kComponents[k];
      const double variance = double{component.deviation} * component.deviation;
      const double total = level.alpha_squared * variance + level.sigma_squared;
      double square = 0;
      for (size_t i = 0; i < kD; ++i) {
        const double left = from[i] - level.alpha() * component.mean[i];
        square += left * left;
        given[k][i] = component.mean[i] + level.alpha() * variance / total * left;
      }
      log_weights[k] = std::log(component.weight) - (square / total + kD * std::log(total)) / 2;
    }
    const double most = *std::max_element(log_weights.begin(), log_weights.end());
    double sum = 0;
    std::array<double, kD> mean{};
    for (size_t k = 0; k < kComponents.size(); ++k) {
      const double weight = std::exp(log_weights[k] - most);
      sum += weight;
      for (size_t i = 0; i < kD; ++i) mean[i] += weight * given[k][i];
    }
    for (size_t i = 0; i < kD; ++i) means.f32()[n * kD + i] = static_cast<float>(mean[i] / sum);
  }
  return means;
}

double energy_distance(const Tensor& a, const Tensor& b) {
  return 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b);
}

TrainOptions mixture_training(int64_t dim) {
  TrainOptions options;
  options.data.source = "mixture";
  options.network =
      tutorial::UnetConfig{.dim = dim, .dim_mults = {1}, .weight_standardization_eps = 1e-5};
  return options;
}

Trainer mixture_trainer(const TrainOptions& options, uint64_t data_seed) {
  const int64_t batch = options.optimizer.batch;
  return Trainer(options.optimizer, options.model_config(2, 2, 1),
                 [=](int64_t step) { return mixture_samples(data_seed, step * batch, batch); });
}

}  // namespace ddpm::test
