#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/diffusion/sampler_test_support.h"
#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm::test {
namespace {

class Ipndm : public testing::Test {
 protected:
  Ipndm() { set_num_threads(1); }
};

// The images after each step.
std::vector<Tensor> trajectory(const Trained& trained, SampleRequest request) {
  std::vector<Tensor> images;
  request.progress = [&](const SampleProgress& progress) {
    if (progress.step > 0) images.push_back(progress.x->clone());
    return true;
  };
  sample(trained.process, exact_denoiser(trained, kData), request);
  return images;
}

// With one estimate, iPNDM has order 1, which is DDIM.
TEST_F(Ipndm, TheFirstStepIsDdim) {
  for (const std::string& objective : objective_names()) {
    const Trained trained("cosine", 1000, objective);
    const auto first_step = [&](const char* sampler) {
      SampleRequest request = request_of(sampler, 4, 10);
      // The process of edm has no time steps.
      request.sampling.spacing = objective == "edm" ? "karras" : "trailing";
      return trajectory(trained, request)[0].values();
    };
    EXPECT_EQ(first_step("ipndm"), first_step("ddim")) << objective;
  }
}

// If the noise is a polynomial of sigma and alpha is 1, x is its integral. Four estimates integrate
// a polynomial of degree 3 exactly, and the k estimates of step k one of degree k - 1. The last
// step uses one estimate.
TEST_F(Ipndm, IntegratesPolynomialsOfItsOrder) {
  const Trained trained("linear", 1000);
  constexpr int kSteps = 12;
  const auto level = [](int i) {
    const double sigma = 1.2 - 0.1 * i;
    return NoiseLevel{.alpha_squared = 1, .sigma_squared = sigma * sigma, .t = sigma};
  };
  std::vector<NoiseStep> steps;
  for (int i = 0; i < kSteps; ++i) {
    steps.push_back(step_between(level(i), i + 1 < kSteps ? level(i + 1) : NoiseLevel{}, 1));
  }
  for (const int degree : {0, 1, 2, 3}) {
    const Denoiser noise = [&](const Tensor& x, const Tensor& t) {
      return Tensor::full(x.shape(), std::pow(t.f32()[0], static_cast<float>(degree)), x.device());
    };
    SampleRequest request = request_of("ipndm", 1, kSteps);
    request.sampling.order = 4;
    std::vector<double> values;
    request.progress = [&](const SampleProgress& progress) {
      if (progress.step > 0) values.push_back(progress.x->f32()[0]);
      return true;
    };
    request.sampling = completed(request.sampling, trained.process);
    SampleLoop loop(trained.process, steps, noise, request);
    find_sampler("ipndm").run(loop);
    for (int i = std::max(degree, 1); i + 1 < kSteps; ++i) {
      const double from = level(i).sigma(), to = level(i + 1).sigma();
      const double integral =
          (std::pow(to, degree + 1) - std::pow(from, degree + 1)) / (degree + 1);
      const size_t k = static_cast<size_t>(i);
      EXPECT_NEAR(values[k] - values[k - 1], integral, 2e-6) << degree << " " << i;
    }
  }
}

// Samples from sigma 3 to 0.1 in `count` steps and returns the largest error. alpha is 1, and the
// network is the exact noise of a Gaussian with mean 0.2 and deviation 0.5. Its flow keeps
// (x - mean) / sqrt(deviation^2 + sigma^2) constant. sigma_at maps [0, 1] to the levels.
double error_of(const std::string& sampler, int count, double (*sigma_at)(double place)) {
  const auto level = [&](int i) {
    const double sigma = sigma_at(static_cast<double>(i) / count);
    return NoiseLevel{.alpha_squared = 1, .sigma_squared = sigma * sigma, .t = sigma};
  };
  std::vector<NoiseStep> steps;
  for (int i = 0; i < count; ++i) steps.push_back(step_between(level(i), level(i + 1), 1));
  const auto variance = [](double sigma) { return 0.25 + sigma * sigma; };
  const Denoiser exact = [&](const Tensor& x, const Tensor& t) {
    Tensor noise(x.shape());  // [N, 1, 2, 2]
    const double sigma = t.f32()[0];
    for (int64_t i = 0; i < x.elements(); ++i)
      noise.f32()[i] = static_cast<float>(sigma * (x.f32()[i] - 0.2) / variance(sigma));
    return noise;
  };
  const Process process({});
  SampleRequest request = request_of(sampler, 64, count);
  if (sampler == "ipndm") request.sampling.order = 4;
  request.sampling = completed(request.sampling, process);
  const Tensor start = initial_noise(request.image_seeds, request.image, request.device);
  SampleLoop loop(process, steps, exact, request);
  const Tensor images = find_sampler(sampler).run(loop);
  const double shrunk = std::sqrt(variance(sigma_at(1)) / variance(sigma_at(0)));
  double largest = 0;
  for (int64_t i = 0; i < images.elements(); ++i) {
    const double expected = 0.2 + (start.f32()[i] - 0.2) * shrunk;
    largest = std::max(largest, std::abs(images.f32()[i] - expected));
  }
  return largest;
}

// With twice the steps, the error is a sixteenth on evenly spaced levels. On other levels, which
// the weights do not fit, it is a quarter. With DDIM it is half.
TEST_F(Ipndm, FollowsTheFlowToItsOrder) {
  const auto even = [](double place) { return 3 - 2.9 * place; };
  const auto uneven = [](double place) { return 0.1 + 2.9 * (1 - place) * (1 - place); };
  EXPECT_NEAR(error_of("ipndm", 16, even) / error_of("ipndm", 32, even), 16, 1);
  EXPECT_NEAR(error_of("ipndm", 64, uneven) / error_of("ipndm", 128, uneven), 4, 0.4);
  EXPECT_NEAR(error_of("ddim", 64, even) / error_of("ddim", 128, even), 2, 0.1);
  EXPECT_NEAR(error_of("ddim", 64, uneven) / error_of("ddim", 128, uneven), 2, 0.1);
}

// On the levels of a schedule, iPNDM has a smaller error than DDIM with five times the steps.
TEST_F(Ipndm, FewStepsGoFar) {
  const Trained trained("cosine", 1000);
  const auto images = [&](const char* sampler, int64_t steps) {
    SampleRequest request = request_of(sampler, 64, steps);
    request.sampling.spacing = "linspace";
    return sample(trained.process, exact_denoiser(trained, kData), request);
  };
  const Tensor fine = images("ddim", 1000);
  EXPECT_LT(largest_difference(images("ipndm", 10), fine),
            largest_difference(images("ddim", 50), fine));
}

}  // namespace
}  // namespace ddpm::test
