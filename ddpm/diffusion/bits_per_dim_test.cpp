// Instead of a network, the exact denoiser of values that are independent and normal. The bound is
// then a sum of closed forms and one integral.
#include "ddpm/diffusion/bits_per_dim.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "ddpm/base/philox.h"
#include "ddpm/diffusion/sampler_test_support.h"
#include "ddpm/kernels/backend.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::Trained;

constexpr double kDeviation = 0.25;
constexpr int64_t kPictures = 128, kSide = 8;

// Bytes as floats, close to N(0, kDeviation^2).
Tensor pictures() {
  Tensor x({kPictures, kSide, kSide, 1});
  Philox(3).normal(0, x.elements(), x.f32());
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double byte = std::round((kDeviation * x.f32()[i] + 1) * 127.5);
    x.f32()[i] = static_cast<float>(byte / 127.5 - 1);
  }
  return x;
}

// Var(x0 | x) at a level.
double variance_left(const NoiseLevel& level) {
  const double data = kDeviation * kDeviation;
  return data * level.sigma_squared / (level.alpha_squared * data + level.sigma_squared);
}

// With `variance`, a second channel that holds this number.
Denoiser exact(const Trained& trained, const double* variance = nullptr) {
  return [&trained, variance](const Tensor& x, const Tensor& t) {
    const int64_t size = x.elements() / x.size(0), channels = variance ? 2 : 1;
    Tensor out({x.size(0), x.size(1), x.size(2), channels});
    for (int64_t i = 0; i < x.elements(); ++i) {
      const NoiseLevel level = trained.level(t.f32()[i / size]);
      const Preconditioning use = trained.process.preconditioning(level);
      const double scale = level.alpha() * variance_left(level) / level.sigma_squared;
      const double noisy = x.f32()[i] / use.c_in, x0 = scale * noisy;
      const double noise = (noisy - level.alpha() * x0) / level.sigma();
      out.f32()[i * channels] = static_cast<float>(use.target_x0 * x0 + use.target_noise * noise);
      if (variance) out.f32()[i * channels + 1] = static_cast<float>(*variance);
    }
    return out;
  };
}

// The expected bits of a value.
double expected(const Trained& trained) {
  std::vector<NoiseStep> steps;
  for (int64_t i = trained.schedule.steps() - 1; i >= 0; --i)
    steps.push_back(trained.schedule.step(i));
  const NoiseLevel& noisiest = steps.front().from;
  double nats = (noisiest.sigma_squared - 1 - std::log(noisiest.sigma_squared) +
                 noisiest.alpha_squared * kDeviation * kDeviation) /
                2;
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    const double scale = steps[i].posterior_x0();
    nats += scale * scale * variance_left(steps[i].from) / steps[i].posterior_variance() / 2;
  }
  // The likelihood of a bin, over the distribution of the error of the last estimate.
  const double spread = std::sqrt(variance_left(steps.back().from));
  const double scale = std::sqrt(steps[steps.size() - 2].posterior_variance());
  const auto below = [](double z) { return std::erfc(-z / std::numbers::sqrt2) / 2; };
  constexpr int kPoints = 2000;
  double sum = 0, weights = 0;
  for (int p = -kPoints; p <= kPoints; ++p) {
    const double z = 6.0 * p / kPoints, apart = spread * z, weight = std::exp(-z * z / 2);
    const double mass = below((apart + 1.0 / 255) / scale) - below((apart - 1.0 / 255) / scale);
    sum -= weight * std::log(mass);
    weights += weight;
  }
  return (nats + sum / weights) / std::numbers::ln2;
}

struct Mean {
  explicit Mean(const std::vector<double>& values) {
    const double n = static_cast<double>(values.size());
    for (const double v : values) mean += v / n;
    double squares = 0;
    for (const double v : values) squares += (v - mean) * (v - mean);
    error = std::sqrt(squares / (n - 1) / n);
  }
  double mean = 0, error = 0;
};

TEST(BitsPerDim, OfAnExactDenoiser) {
  for (const char* objective : {"eps", "x0", "v"}) {
    for (const char* schedule : {"linear", "cosine"}) {
      const Trained trained(schedule, 40, objective);
      const Mean got(bits_per_dim(trained.process, exact(trained), pictures(), {}));
      const double want = expected(trained);
      EXPECT_NEAR(got.mean, want, 4 * got.error) << objective << " " << schedule;
      EXPECT_LT(got.error, 0.1);
      // No code is shorter than the entropy.
      const double entropy =
          std::log2(kDeviation * 127.5 * std::sqrt(2 * std::numbers::pi * std::numbers::e));
      EXPECT_GT(want, entropy);
    }
  }
}

TEST(BitsPerDim, SomeStepsStandForAll) {
  const Trained trained("linear", 100);
  const Tensor x0 = pictures();
  const std::vector<double> all = bits_per_dim(trained.process, exact(trained), x0, {});
  const std::vector<double> some = bits_per_dim(trained.process, exact(trained), x0, {.steps = 20});
  std::vector<double> difference;
  for (size_t n = 0; n < all.size(); ++n) difference.push_back(some[n] - all[n]);
  const Mean mean(difference);
  EXPECT_GT(mean.error, 0);
  EXPECT_LT(mean.error, 0.05);
  EXPECT_LT(std::abs(mean.mean), 4 * mean.error);
  // As many parts as steps: all of them.
  EXPECT_EQ(bits_per_dim(trained.process, exact(trained), x0, {.steps = 99}), all);
}

TEST(BitsPerDim, OfAPictureDependOnItsNumberAlone) {
  const Trained trained("cosine", 30);
  const Tensor x0 = pictures();
  const std::vector<double> all =
      bits_per_dim(trained.process, exact(trained), x0, {.steps = 5, .seed = 9});
  const std::vector<double> last =
      bits_per_dim(trained.process, exact(trained), x0.rows(60, kPictures),
                   {.steps = 5, .seed = 9, .first = 60});
  EXPECT_EQ(last, (std::vector<double>(all.begin() + 60, all.end())));
}

TEST(BitsPerDim, LearnedVarianceHoldsThePosteriors) {
  const Trained fixed("linear", 30);
  const Trained learned(
      ProcessConfig{.schedule = "linear", .timesteps = 30, .learned_variance = true});
  const std::vector<double> want = bits_per_dim(fixed.process, exact(fixed), pictures(), {});
  double v = -1;
  EXPECT_EQ(bits_per_dim(learned.process, exact(learned, &v), pictures(), {}), want);
  // Here the added variance is nearer to the best one.
  v = 1;
  EXPECT_LT(Mean(bits_per_dim(learned.process, exact(learned, &v), pictures(), {})).mean,
            Mean(want).mean);
}

TEST(BitsPerDim, AllBytesHaveMassOne) {
  const Trained trained("linear", 1, "x0");
  Tensor x0({256, 1, 1, 1});
  for (int64_t byte = 0; byte < 256; ++byte)
    x0.f32()[byte] = static_cast<float>(static_cast<double>(byte) / 127.5 - 1);
  const Denoiser constant = [](const Tensor& x, const Tensor&) {
    return Tensor::full(x.shape(), 0.7f);
  };
  const std::vector<double> bits = bits_per_dim(trained.process, constant, x0, {});
  const NoiseLevel level = trained.schedule.level(0);
  double mass = 0;
  for (int64_t byte = 0; byte < 256; ++byte) {
    const double x = x0.f32()[byte];
    const double prior =
        (level.sigma_squared - 1 - std::log(level.sigma_squared) + level.alpha_squared * x * x) / 2;
    mass += std::exp(prior - bits[static_cast<size_t>(byte)] * std::numbers::ln2);
  }
  EXPECT_NEAR(mass, 1, 1e-6);
}

TEST(BitsPerDim, OnlyOfProcessesThatHaveIt) {
  for (const char* objective : {"edm", "flow"}) {
    EXPECT_NE(test::refusal([&] { check_has_bound({.objective = objective}); }).find(objective),
              std::string::npos);
  }
  EXPECT_NE(test::refusal([] { check_has_bound({.offset_noise = 0.1}); }).find("offset noise"),
            std::string::npos);
  check_has_bound({.objective = "v"});
}

}  // namespace
}  // namespace ddpm
