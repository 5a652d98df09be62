// Instead of a network, the tests use the exact denoiser of a Gaussian data set N(mu, Sigma). x is
// then Gaussian at every level, and E[x0 | x] and E[noise | x] are linear in x. The mean and the
// covariance of a sampler's images have a closed form.
#pragma once

#include <gtest/gtest.h>

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
      : Trained(ProcessConfig{.schedule = name, .timesteps = timesteps, .objective = objective}) {}
  explicit Trained(const ProcessConfig& config)
      : kind(find_objective(config.objective).process),
        schedule(config.schedule, config.timesteps),
        process(config) {
    if (config.zero_snr) schedule = schedule.with_zero_snr();
  }

  // The level for which the network gets t.
  NoiseLevel level(double t) const { return process.level_told(t); }

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

inline constexpr Matrix kWhite = {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}};

// The output of a network that knows the data and the covariance of the noise, for the objective of
// `trained`. Images are [N, 1, 2, 2].
inline Denoiser exact_denoiser(const Trained& trained, const Gaussian& data,
                               const Matrix& noise = kWhite) {
  return [&trained, &data, noise](const Tensor& scaled, const Tensor& t) {
    const NoiseLevel level = trained.level(t.f32()[0]);
    const Preconditioning p = trained.process.preconditioning(level);
    const double alpha = level.alpha(), sigma = level.sigma();
    Matrix spread{};
    for (int i = 0; i < kD; ++i) {
      for (int j = 0; j < kD; ++j) {
        spread[i][j] =
            level.alpha_squared * data.covariance[i][j] + level.sigma_squared * noise[i][j];
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
        double x0 = data.mean[i], drawn = 0;
        for (int j = 0; j < kD; ++j) {
          x0 += alpha * data.covariance[i][j] * whitened[j];
          drawn += sigma * noise[i][j] * whitened[j];
        }
        out[i] = static_cast<float>(p.target_x0 * x0 + p.target_noise * drawn);
      }
    }
    return output;
  };
}

// The mean and the covariance of images.
inline Gaussian statistics(const Tensor& images) {
  Gaussian found{};
  const int64_t n = images.size(0);
  const float* x = images.f32();
  for (int64_t k = 0; k < n; ++k) {
    for (int i = 0; i < kD; ++i) found.mean[i] += x[k * kD + i] / static_cast<double>(n);
  }
  for (int64_t k = 0; k < n; ++k) {
    for (int i = 0; i < kD; ++i) {
      for (int j = 0; j < kD; ++j) {
        found.covariance[i][j] += (x[k * kD + i] - found.mean[i]) *
                                  (x[k * kD + j] - found.mean[j]) / static_cast<double>(n - 1);
      }
    }
  }
  return found;
}

// Within 4 standard errors of n independent samples, plus `bias` (relative to the variances) for
// what a finite number of steps gets wrong.
inline void expect_gaussian(const Tensor& images, const Gaussian& data, double bias) {
  const Gaussian found = statistics(images);
  const double n = static_cast<double>(images.size(0));
  for (int i = 0; i < kD; ++i) {
    const double vi = data.covariance[i][i];
    EXPECT_NEAR(found.mean[i], data.mean[i], 4 * std::sqrt(vi / n) + bias * std::sqrt(vi)) << i;
    for (int j = 0; j <= i; ++j) {
      const double vj = data.covariance[j][j];
      const double cij = data.covariance[i][j];
      EXPECT_NEAR(found.covariance[i][j], cij,
                  4 * std::sqrt((vi * vj + cij * cij) / n) + bias * std::sqrt(vi * vj))
          << i << ", " << j;
    }
  }
}

inline SampleRequest request_of(const std::string& sampler, int64_t images,
                                std::optional<int64_t> steps) {
  SampleRequest request;
  request.sampling = {.sampler = sampler, .steps = steps.value_or(0), .clip = "none"};
  request.image = {1, 2, 2};
  request.image_seeds = image_seeds(17, 0, images);
  return request;
}

// The steps of a process between `count` levels.
inline std::vector<NoiseStep> steps_of(const Process& process, int64_t count) {
  SamplerOptions options{.sampler = "ddpm", .steps = count};
  if (process.kind() == ProcessKind::kScheduled) options.spacing = "linspace";
  return steps_between(sampling_levels(options, process));
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    largest = std::max(largest, std::abs(double{a.f32()[i]} - double{b.f32()[i]}));
  }
  return largest;
}

}  // namespace ddpm::test
