// Samplers with what a process may have besides its objective: zero terminal SNR, offset noise, a
// learned variance, self-conditioning.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/diffusion/sampler_test_support.h"

namespace ddpm::test {
namespace {

class SamplersOfAProcess : public testing::Test {
 protected:
  SamplersOfAProcess() { set_num_threads(1); }
};

TEST_F(SamplersOfAProcess, ZeroSnrDrawsFromTheData) {
  for (const std::string objective : {"x0", "v"}) {
    for (const std::string schedule : {"linear", "cosine"}) {
      const Trained trained({.schedule = schedule, .objective = objective, .zero_snr = true});
      for (const std::string& sampler : sampler_names()) {
        SCOPED_TRACE(objective + " " + schedule + " " + sampler);
        const Tensor images =
            sample(trained.process, exact_denoiser(trained, kData), request_of(sampler, 4000, 250));
        expect_gaussian(images, kData, 0.04);
      }
    }
  }
}

// A step from noise alone has no slope, so that Heun's method evaluates once there.
TEST_F(SamplersOfAProcess, HeunWastesNoEvaluationOnNoiseAlone) {
  const Trained trained({.timesteps = 100, .objective = "v", .zero_snr = true});
  const Denoiser exact = exact_denoiser(trained, kData);
  const auto told = [&](int64_t steps, const std::string& spacing) {
    std::vector<float> times;
    SampleRequest request = request_of("heun", 2, steps);
    request.sampling.spacing = spacing;
    const int64_t evaluations = completed(request.sampling, trained.process).steps;
    int64_t reported = 0;
    request.progress = [&](const SampleProgress& progress) {
      EXPECT_EQ(progress.steps, evaluations);
      EXPECT_EQ(progress.step, reported++);
      return true;
    };
    const Denoiser watched = [&](const Tensor& x, const Tensor& t) {
      times.push_back(t.f32()[0]);
      return exact(x, t);
    };
    sample(trained.process, watched, request);
    EXPECT_EQ(std::ssize(times), evaluations) << spacing << " " << steps;
    return times;
  };
  EXPECT_EQ(told(6, "linspace"), (std::vector<float>{99, 66, 33, 33, 0, 0}));
  EXPECT_EQ(told(7, "linspace"), (std::vector<float>{99, 66, 33, 33, 0, 0}));
  EXPECT_EQ(told(1, "linspace"), (std::vector<float>{99}));
  EXPECT_EQ(told(2, "linspace"), (std::vector<float>{99, 0}));
  EXPECT_EQ(std::ssize(told(0, "log-snr")), 34);
  EXPECT_EQ(std::ssize(told(198, "trailing")), 198);
  // These levels begin below noise alone.
  EXPECT_EQ(told(7, "leading"), (std::vector<float>{75, 50, 50, 25, 25, 0, 0}));
  EXPECT_EQ(told(6, "leading"), (std::vector<float>{66, 33, 33, 0, 0}));
}

// Pixels of a channel share a part of the noise: images [N, 1, 2, 2] hold channels 0, 1, 0, 1.
TEST_F(SamplersOfAProcess, OffsetNoiseDrawsFromTheData) {
  constexpr double kOffset = 0.7;
  Matrix noise = kWhite;
  for (int i = 0; i < kD; ++i) {
    for (int j = 0; j < kD; ++j) noise[i][j] += i % 2 == j % 2 ? kOffset * kOffset : 0;
  }
  for (const std::string objective : {"eps", "v", "edm", "flow"}) {
    const Trained trained({.objective = objective, .offset_noise = kOffset});
    for (const std::string& sampler : sampler_names()) {
      SCOPED_TRACE(objective + " " + sampler);
      SampleRequest request = request_of(sampler, 4000, 250);
      request.sampling.eta = find_sampler(sampler).eta ? 0.5 : -1;
      const Tensor images = sample(trained.process, exact_denoiser(trained, kData, noise), request);
      expect_gaussian(images, kData, 0.04);
    }
  }
}

// Both halves of an output [N, 1, 2, 4]: the mean's, and v for every value.
Tensor with_variance(const Tensor& mean, double v) {
  Tensor both({mean.size(0), 1, 2, 4});
  for (int64_t i = 0; i < both.elements(); ++i) {
    const bool is_mean = i % 4 < 2;
    both.f32()[i] = is_mean ? mean.f32()[i / 4 * 2 + i % 2] : static_cast<float>(v);
  }
  return both;
}

// Of independent normal values the step to a cleaner level is normal again: its variance is beta~
// plus what the image behind x varies by. A sampler that knows it draws from the data in however
// few steps, while beta~ alone leaves too little.
TEST_F(SamplersOfAProcess, ALearnedVarianceMakesFewStepsExact) {
  constexpr double kVariance = 0.3;
  Gaussian data{{0.3, -0.2, 0.1, -0.4}, {}};
  for (int i = 0; i < kD; ++i) data.covariance[i][i] = kVariance;
  constexpr int64_t kSteps = 5;
  const Trained trained(ProcessConfig{.learned_variance = true}), plain{ProcessConfig{}};
  const Denoiser mean = exact_denoiser(trained, data);
  const std::vector<NoiseStep> steps = steps_of(trained.process, kSteps);
  const Denoiser both = [&](const Tensor& x, const Tensor& t) {
    double v = 0;
    for (const NoiseStep& step : steps) {
      if (step.from.t != t.f32()[0] || step.to.sigma_squared == 0) continue;
      const double left = kVariance * step.from.sigma_squared /
                          (step.from.alpha_squared * kVariance + step.from.sigma_squared);
      const double low = step.posterior_variance(), high = step.added;
      const double wanted = low + step.posterior_x0() * step.posterior_x0() * left;
      v = 2 * std::log(wanted / low) / std::log(high / low) - 1;
      EXPECT_GT(v, -1);
      EXPECT_LT(v, 1);
    }
    return with_variance(mean(x, t), v);
  };
  // The last step adds no noise: it gives the mean of the images behind the lowest level.
  const NoiseLevel lowest = steps.back().from;
  Gaussian expected = data;
  for (int i = 0; i < kD; ++i) {
    expected.covariance[i][i] -= kVariance * lowest.sigma_squared /
                                 (lowest.alpha_squared * kVariance + lowest.sigma_squared);
  }
  SampleRequest request = request_of("ddpm", 20000, kSteps);
  request.sampling.spacing = "linspace";
  expect_gaussian(sample(trained.process, both, request), expected, 0);
  const Gaussian fixed = statistics(sample(plain.process, mean, request));
  EXPECT_LT(fixed.covariance[0][0], 0.8 * kVariance);
}

// The least variance that the network can choose is that of a network without.
TEST_F(SamplersOfAProcess, TheLeastVarianceIsThePosteriors) {
  const Trained trained(ProcessConfig{.learned_variance = true}), plain{ProcessConfig{}};
  const Denoiser mean = exact_denoiser(plain, kData);
  const Denoiser least = [&](const Tensor& x, const Tensor& t) {
    return with_variance(mean(x, t), -1);
  };
  const Denoiser most = [&](const Tensor& x, const Tensor& t) {
    return with_variance(mean(x, t), 1);
  };
  for (const std::string& sampler : sampler_names()) {
    const SampleRequest request = request_of(sampler, 8, 20);
    const Tensor expected = sample(plain.process, mean, request);
    EXPECT_LT(largest_difference(sample(trained.process, least, request), expected), 1e-5)
        << sampler;
    // Only ddpm looks at it.
    const double moved = largest_difference(sample(trained.process, most, request), expected);
    EXPECT_EQ(moved > 0.01, sampler == "ddpm") << sampler;
  }
}

TEST_F(SamplersOfAProcess, TheNetworkIsToldItsLastEstimate) {
  const Trained trained("linear", 100);
  const Denoiser exact = exact_denoiser(trained, kData);
  for (const std::string& sampler : sampler_names()) {
    std::vector<float> expected(12, 0.0f);  // of the step before
    SampleRequest request = request_of(sampler, 3, 6);
    request.progress = [&](const SampleProgress& progress) {
      if (progress.x0 != nullptr) expected = progress.x0->values();
      return true;
    };
    int calls = 0;
    const Denoiser told = [&](const Tensor& x, const Tensor& t, const Tensor& estimate) {
      ++calls;
      EXPECT_EQ(estimate.values(), expected) << sampler << " " << calls;
      return exact(x, t);
    };
    EXPECT_TRUE(told.takes_estimate());
    EXPECT_FALSE(exact.takes_estimate());
    sample(trained.process, told, request);
    EXPECT_EQ(calls, completed(request.sampling, trained.process).steps) << sampler;
  }
}

}  // namespace
}  // namespace ddpm::test
