// Instead of a network, the tests use the exact denoiser of a Gaussian data set N(mu, Sigma). x is
// then Gaussian at every level, and E[x0 | x] and E[noise | x] are linear in x. The mean and the
// covariance of a sampler's images have a closed form.
#pragma once

#include <array>
#include <cmath>
#include <string>

#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/diffusion/schedule.h"

namespace ddpm::test {

// A process and its schedule.
struct Trained {
  Trained(const std::string& name, int64_t timesteps, const std::string& objective = "eps")
      : kind(find_objective(objective).process),
        schedule(name, timesteps),
        process({.schedule = name, .timesteps = timesteps, .objective = objective}) {}

  // The level for which the network gets t.
  NoiseLevel level(double t) const {
    switch (kind) {
      case ProcessKind::kScheduled:
        return schedule.level(static_cast<int64_t>(t));
      case ProcessKind::kEdm:
        return {.alpha_squared = 1, .sigma_squared = std::exp(8 * t), .t = t};
      case ProcessKind::kFlow:
        break;
    }
    const double sigma = t / static_cast<double>(schedule.steps());
    return {.alpha_squared = (1 - sigma) * (1 - sigma), .sigma_squared = sigma * sigma, .t = t};
  }

  ProcessKind kind;
  Schedule schedule;
  Process process;
};

// The pixels times channels of the tiny images.
constexpr int kD = 4;
using Vector = std::array<double, kD>;
using Matrix = std::array<Vector, kD>;

// Gauss-Jordan elimination. The matrix is symmetric positive definite, so it needs no pivoting.
inline Matrix inverse(Matrix m) {
  Matrix out{};
  for (int i = 0; i < kD; ++i) out[i][i] = 1;
  for (int p = 0; p < kD; ++p) {
    const double pivot = m[p][p];
    for (int j = 0; j < kD; ++j) m[p][j] /= pivot, out[p][j] /= pivot;
    for (int i = 0; i < kD; ++i) {
      if (i == p) continue;
      const double factor = m[i][p];
      for (int j = 0; j < kD; ++j) m[i][j] -= factor * m[p][j], out[i][j] -= factor * out[p][j];
    }
  }
  return out;
}

struct Gaussian {
  Vector mean;
  Matrix covariance;
};

inline const Gaussian kData = {{0.3, -0.2, 0.1, -0.4},
                               {{{0.30, 0.12, -0.08, 0.05},
                                 {0.12, 0.20, 0.06, -0.04},
                                 {-0.08, 0.06, 0.25, 0.09},
                                 {0.05, -0.04, 0.09, 0.15}}}};

// The output of a network that knows the data, for the objective of `trained`. Images are
// [N, 1, 2, 2].
inline Denoiser exact_denoiser(const Trained& trained, const Gaussian& data) {
  return [&trained, &data](const Tensor& scaled, const Tensor& t) {
    const NoiseLevel level = trained.level(t.f32()[0]);
    const Preconditioning p = trained.process.preconditioning(level);
    const double alpha = level.alpha(), sigma = level.sigma();
    Matrix spread{};
    for (int i = 0; i < kD; ++i) {
      for (int j = 0; j < kD; ++j) {
        spread[i][j] =
            level.alpha_squared * data.covariance[i][j] + (i == j ? level.sigma_squared : 0);
      }
    }
    const Matrix precision = inverse(spread);
    Tensor output(scaled.shape(), DType::kFloat32, scaled.device());  // [N, 1, 2, 2]
    const float* in = scaled.f32();
    float* out = output.f32();
    for (int64_t n = 0; n < scaled.size(0); ++n, in += kD, out += kD) {
      Vector whitened{};
      for (int i = 0; i < kD; ++i) {
        for (int j = 0; j < kD; ++j)
          whitened[i] += precision[i][j] * (in[j] / p.c_in - alpha * data.mean[j]);
      }
      for (int i = 0; i < kD; ++i) {
        double x0 = data.mean[i];
        for (int j = 0; j < kD; ++j) x0 += alpha * data.covariance[i][j] * whitened[j];
        out[i] = static_cast<float>(p.target_x0 * x0 + p.target_noise * sigma * whitened[i]);
      }
    }
    return output;
  };
}

inline SampleRequest request_of(const std::string& sampler, int64_t images,
                                std::optional<int64_t> steps) {
  SampleRequest request;
  request.sampler = sampler;
  request.image = {1, 2, 2};
  request.image_seeds = image_seeds(17, 0, images);
  request.steps = steps;
  request.clip = false;
  return request;
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    largest = std::max(largest, std::abs(double{a.f32()[i]} - double{b.f32()[i]}));
  }
  return largest;
}

}  // namespace ddpm::test
