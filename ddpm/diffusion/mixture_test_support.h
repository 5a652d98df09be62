// A mixture of Gaussians whose exact denoiser takes the place of a network.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sampler.h"
#include "tests/support/peer_numbers.h"

namespace ddpm::test {

inline constexpr int64_t kImages = 2, kChannels = 3, kSide = 2, kSize = kChannels * kSide * kSide;

// p(x0) = sum_k weights[k] N(means[k], stds[k]^2 I). An image is [C, H, W] here.
struct Mixture {
  Mixture() : file("mixture") {}

  // E[x0 | x] for x = alpha x0 + sigma noise.
  std::vector<double> estimate(const std::vector<double>& x, const NoiseLevel& level) const {
    const auto &weights = file.at("weights"), &means = file.at("means"), &stds = file.at("stds");
    std::vector<double> logs;
    for (size_t k = 0; k < weights.size(); ++k) {
      double squares = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double from_mean = x[i] - level.alpha() * means[k * x.size() + i];
        squares += from_mean * from_mean;
      }
      const double v = level.alpha_squared * stds[k] * stds[k] + level.sigma_squared;
      logs.push_back(std::log(weights[k]) - double{kSize} / 2 * std::log(v) - squares / (2 * v));
    }
    const double most = *std::max_element(logs.begin(), logs.end());
    double total = 0;
    for (double& value : logs) total += value = std::exp(value - most);
    std::vector<double> x0(x.size());
    for (size_t k = 0; k < weights.size(); ++k) {
      const double v = level.alpha_squared * stds[k] * stds[k] + level.sigma_squared;
      const double gain = level.alpha() * stds[k] * stds[k] / v;
      for (size_t i = 0; i < x.size(); ++i) {
        const double mean = means[k * x.size() + i];
        x0[i] += logs[k] / total * (mean + gain * (x[i] - level.alpha() * mean));
      }
    }
    return x0;
  }

  PeerNumbers file;
};

// The place of value i of an image [C, H, W] in [H, W, C].
inline int64_t place(int64_t i) { return i % (kSide * kSide) * kChannels + i / (kSide * kSide); }

inline Denoiser denoiser(const Process& process, const Mixture& mixture) {
  return [&](const Tensor& scaled, const Tensor& t) {
    const NoiseLevel level = process.level_told(t.f32()[0]);
    const Preconditioning use = process.preconditioning(level);
    Tensor output(scaled.shape());
    for (int64_t n = 0; n < scaled.size(0); ++n) {
      const float* in = scaled.f32() + n * kSize;
      std::vector<double> x;
      for (int64_t i = 0; i < kSize; ++i) x.push_back(in[place(i)] / use.c_in);
      const std::vector<double> x0 = mixture.estimate(x, level);
      for (int64_t i = 0; i < kSize; ++i) {
        const auto at = static_cast<size_t>(i);
        const double noise = (x[at] - level.alpha() * x0[at]) / level.sigma();
        output.f32()[n * kSize + place(i)] =
            static_cast<float>(use.target_x0 * x0[at] + use.target_noise * noise);
      }
    }
    return output;
  };
}

inline double relative_error(const Tensor& got, const Tensor& want) {
  double error = 0, size = 0;
  for (int64_t i = 0; i < got.elements(); ++i) {
    const double difference = double{got.f32()[i]} - double{want.f32()[i]};
    error += difference * difference;
    size += double{want.f32()[i]} * double{want.f32()[i]};
  }
  return std::sqrt(error / size);
}

}  // namespace ddpm::test
