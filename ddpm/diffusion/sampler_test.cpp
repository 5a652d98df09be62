#include "ddpm/diffusion/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/threads.h"
#include "ddpm/diffusion/sampler_test_support.h"
#include "tests/support/errors.h"

namespace ddpm::test {
namespace {

// These tests run thousands of small operations. On a busy machine, waking threads would take most
// of the time.
class Samplers : public testing::Test {
 protected:
  Samplers() { set_num_threads(1); }
};

TEST_F(Samplers, DdpmWithAllStepsDrawsFromTheData) {
  const Trained trained("cosine", 1000);
  const Tensor images =
      sample(trained.process, exact_denoiser(trained, kData), request_of("ddpm", 4000, {}));
  expect_gaussian(images, kData, 0.01);
}

TEST_F(Samplers, DdpmWithFewerStepsDrawsFromTheData) {
  const Trained trained("linear", 1000);
  const Tensor images =
      sample(trained.process, exact_denoiser(trained, kData), request_of("ddpm", 10000, 200));
  expect_gaussian(images, kData, 0.03);
}

TEST_F(Samplers, DdimWithoutNoiseDrawsFromTheData) {
  const Trained trained("linear", 1000);
  const Tensor images =
      sample(trained.process, exact_denoiser(trained, kData), request_of("ddim", 8000, 500));
  expect_gaussian(images, kData, 0.02);
}

TEST_F(Samplers, DdimWithNoiseDrawsFromTheData) {
  const Trained trained("cosine", 1000);
  SampleRequest request = request_of("ddim", 10000, 200);
  request.sampling.eta = 1;
  const Tensor images = sample(trained.process, exact_denoiser(trained, kData), request);
  expect_gaussian(images, kData, 0.03);
}

// Song et al. 2020, section 4.2: at eta 1 DDIM is the ancestral sampler. Here both use the same
// noise.
TEST_F(Samplers, DdimAtEtaOneIsDdpm) {
  const Trained trained("linear", 1000);
  const Denoiser denoiser = exact_denoiser(trained, kData);
  SampleRequest request = request_of("ddim", 8, 50);
  request.sampling.eta = 1;
  request.sampling.spacing = "linspace";
  const Tensor ddim = sample(trained.process, denoiser, request);
  SampleRequest ancestral = request_of("ddpm", 8, 50);
  ancestral.sampling.spacing = "linspace";
  EXPECT_LT(largest_difference(ddim, sample(trained.process, denoiser, ancestral)), 1e-4);
}

// The probability flow of a Gaussian keeps (x - sqrt(a) mu) / sqrt(a s^2 + 1 - a) constant for each
// principal axis. DDIM at eta 0 is its first-order integrator, so with twice the steps the error is
// half as large.
TEST_F(Samplers, DdimWithoutNoiseFollowsTheFlow) {
  const double mean = 0.2, deviation = 0.5;
  Gaussian data{};
  for (int i = 0; i < kD; ++i) data.mean[i] = mean, data.covariance[i][i] = deviation * deviation;
  const Trained trained("linear", 1000);
  double error[2];
  for (const int round : {0, 1}) {
    SampleRequest request = request_of("ddim", 64, round == 0 ? 250 : 500);
    Tensor start;  // [N, 1, 2, 2]
    const Denoiser exact = exact_denoiser(trained, data);
    const Denoiser watched = [&](const Tensor& x, const Tensor& t) {
      if (!start.defined()) start = x.clone();
      return exact(x, t);
    };
    const Tensor images = sample(trained.process, watched, request);
    const double a = trained.schedule.alpha_bar(999);
    Tensor expected(images.shape());  // [N, 1, 2, 2]
    for (int64_t i = 0; i < images.elements(); ++i) {
      const double z =
          (start.f32()[i] - std::sqrt(a) * mean) / std::sqrt(a * deviation * deviation + 1 - a);
      expected.f32()[i] = static_cast<float>(mean + deviation * z);
    }
    error[round] = largest_difference(images, expected);
  }
  EXPECT_LT(error[0], 0.02);
  EXPECT_NEAR(error[0] / error[1], 2, 0.2);
}

// A network that knows the data gives the same estimates with every objective. If the levels are
// the same, so are the images.
TEST_F(Samplers, ObjectivesOfOneProcessAgree) {
  const Trained noise("cosine", 200);
  for (const std::string& objective : objective_names()) {
    const Trained trained("cosine", 200, objective);
    if (trained.kind != noise.kind) continue;
    for (const std::string& sampler : sampler_names()) {
      const SampleRequest request = request_of(sampler, 16, 40);
      const Tensor images = sample(trained.process, exact_denoiser(trained, kData), request);
      const Tensor expected = sample(noise.process, exact_denoiser(noise, kData), request);
      EXPECT_LT(largest_difference(images, expected), 1e-4) << objective << " " << sampler;
    }
  }
}

TEST_F(Samplers, DrawFromTheDataWhateverTheObjective) {
  for (const std::string& objective : objective_names()) {
    const Trained trained("linear", 1000, objective);
    for (const std::string& sampler : sampler_names()) {
      SCOPED_TRACE(objective + " " + sampler);
      const Tensor images =
          sample(trained.process, exact_denoiser(trained, kData), request_of(sampler, 4000, 250));
      expect_gaussian(images, kData, 0.04);
    }
  }
}

// If the network knows the image exactly, every sampler returns it, whatever noise it adds.
TEST_F(Samplers, ReturnTheImageThatTheNetworkIsSureOf) {
  const Trained trained("cosine", 100);
  const std::array<float, 4> image = {0.5f, -1.0f, 0.25f, 1.0f};
  const Denoiser sure = [&](const Tensor& x, const Tensor& t) {
    const double a = trained.process.level_told(t.f32()[0]).alpha_squared;
    Tensor noise(x.shape());  // [N, 1, 2, 2]
    for (int64_t i = 0; i < x.elements(); ++i) {
      noise.f32()[i] =
          static_cast<float>((x.f32()[i] - std::sqrt(a) * image[i % 4]) / std::sqrt(1 - a));
    }
    return noise;
  };
  // The first estimate divides the rounding error of numbers up to 4 by sqrt(alpha_bar) of the last
  // step.
  const double bound =
      4 * 0x1p-23 / std::sqrt(trained.schedule.alpha_bar(trained.schedule.steps() - 1));
  for (const std::string& sampler : sampler_names()) {
    for (const int64_t steps : {1, 2, 10, 100}) {
      SampleRequest request = request_of(sampler, 3, steps);
      request.sampling.clip = "static";
      // Spacings without the first time step would have 101 levels here.
      if (steps == 100) request.sampling.spacing = "trailing";
      const int64_t evaluations = completed(request.sampling, trained.process).steps;
      const Tensor images = sample(trained.process, sure, request);
      for (int64_t i = 0; i < images.elements(); ++i) {
        EXPECT_NEAR(images.f32()[i], image[i % 4], evaluations == 1 ? bound : 1e-4)
            << sampler << " " << steps;
      }
    }
  }
}

TEST_F(Samplers, ClippingKeepsEachEstimateInRange) {
  const Trained trained("linear", 50);
  const Denoiser wild = [](const Tensor& x, const Tensor&) {
    return Tensor::full(x.shape(), -30, x.device());
  };
  for (const std::string& sampler : sampler_names()) {
    SampleRequest request = request_of(sampler, 2, 10);
    request.sampling.clip = "static";
    int64_t calls = 0;
    request.progress = [&](const SampleProgress& progress) {
      if (progress.step == 0) return true;
      ++calls;
      for (const float value : progress.x0->values()) EXPECT_EQ(value, 1) << sampler;
      return true;
    };
    for (const float value : sample(trained.process, wild, request).values()) EXPECT_EQ(value, 1);
    EXPECT_EQ(calls, completed(request.sampling, trained.process).steps) << sampler;
  }
}

// improved-diffusion's rule: after clipping, the noise is recomputed from x and the clipped x0.
TEST_F(Samplers, DdimTakesTheNoiseFromTheClippedEstimate) {
  const Trained trained("linear", 1000);
  const Denoiser wild = [](const Tensor& x, const Tensor&) {
    return Tensor::full(x.shape(), -30, x.device());
  };
  SampleRequest request = request_of("ddim", 1, 2);
  request.sampling.clip = "static";
  request.sampling.spacing = "linspace";
  Tensor start, after;  // [1, 1, 2, 2]
  const Denoiser watched = [&](const Tensor& x, const Tensor& t) {
    if (!start.defined()) start = x.clone();
    return wild(x, t);
  };
  request.progress = [&](const SampleProgress& progress) {
    if (progress.step == 1) after = progress.x->clone();
    return true;
  };
  sample(trained.process, watched, request);
  const double a = trained.schedule.alpha_bar(999), before = trained.schedule.alpha_bar(0);
  for (int i = 0; i < kD; ++i) {
    const double noise = (start.f32()[i] - std::sqrt(a)) / std::sqrt(1 - a);
    EXPECT_NEAR(after.f32()[i], std::sqrt(before) + std::sqrt(1 - before) * noise, 1e-5);
  }
}

TEST_F(Samplers, TellTheNetworkTheTrainedSteps) {
  const Trained trained("linear", 1000);
  for (const std::string& sampler : sampler_names()) {
    std::vector<float> told;
    const Denoiser watched = [&](const Tensor& x, const Tensor& t) {
      EXPECT_EQ(t.shape(), Shape({2}));
      EXPECT_EQ(t.f32()[0], t.f32()[1]);
      told.push_back(t.f32()[0]);
      return Tensor::zeros(x.shape(), x.device());
    };
    SampleRequest request = request_of(sampler, 2, 4);
    request.sampling.spacing = "linspace";
    const SamplerKind& kind = find_sampler(sampler);
    if (kind.two_evaluations) request.sampling.steps = 7;
    sample(trained.process, watched, request);
    std::vector<float> expected;
    // The second evaluation of a step is at the level that the next step begins at.
    for (const float t : kind.with_first ? std::vector<float>{999, 666, 333, 0}
                                         : std::vector<float>{999, 749, 500, 250}) {
      if (kind.two_evaluations && t != 999) expected.push_back(t);
      expected.push_back(t);
    }
    EXPECT_EQ(told, expected) << sampler;
  }
}

TEST_F(Samplers, AnImageDependsOnItsSeedAlone) {
  const Trained trained("cosine", 20);
  const Denoiser denoiser = exact_denoiser(trained, kData);
  for (const std::string& sampler : sampler_names()) {
    SampleRequest request = request_of(sampler, 5, 10);
    request.sampling.eta = find_sampler(sampler).eta ? 0.5 : -1;
    request.image_seeds = image_seeds(3, 0, 5);
    set_num_threads(2);
    const Tensor together = sample(trained.process, denoiser, request);  // [5, 1, 2, 2]
    set_num_threads(1);
    for (int64_t k = 0; k < 5; ++k) {
      request.image_seeds = image_seeds(3, k, 1);
      const Tensor alone = sample(trained.process, denoiser, request);  // [1, 1, 2, 2]
      EXPECT_EQ(std::memcmp(alone.f32(), together.rows(k, k + 1).f32(),
                            static_cast<size_t>(alone.bytes())),
                0)
          << sampler << " " << k;
    }
  }
}

TEST_F(Samplers, StartFromTheInitialNoise) {
  const Trained trained("linear", 10);
  for (const std::string& sampler : sampler_names()) {
    SampleRequest request = request_of(sampler, 3, {});
    request.sampling.spacing = "trailing";
    Tensor start;  // [3, 1, 2, 2]
    const Denoiser watched = [&](const Tensor& x, const Tensor&) {
      if (!start.defined()) start = x.clone();
      return Tensor::zeros(x.shape(), x.device());
    };
    sample(trained.process, watched, request);
    const double scale =
        find_sampler(sampler).starts_at_sigma ? trained.process.noisiest().sigma() : 1;
    const Tensor noise = initial_noise(request.image_seeds, request.image, request.device);
    for (int64_t i = 0; i < noise.elements(); ++i)
      EXPECT_EQ(start.f32()[i], noise.f32()[i] * static_cast<float>(scale)) << sampler;
  }
}

TEST_F(Samplers, ImagesOfOneSeedDiffer) {
  const std::vector<uint64_t> seeds = image_seeds(3, 0, 2);
  EXPECT_NE(seeds[0], seeds[1]);
  EXPECT_EQ(image_seeds(3, 1, 1)[0], seeds[1]);
  EXPECT_NE(image_seeds(4, 0, 1)[0], seeds[0]);
}

TEST_F(Samplers, ReportEveryStepAndStopWhenAsked) {
  const Trained trained("linear", 10);
  for (const std::string& sampler : sampler_names()) {
    SampleRequest request = request_of(sampler, 1, {});
    const int64_t evaluations = completed(request.sampling, trained.process).steps;
    EXPECT_EQ(evaluations, find_sampler(sampler).two_evaluations ? 19 : 10) << sampler;
    std::vector<int64_t> steps;
    request.progress = [&](const SampleProgress& progress) {
      EXPECT_EQ(progress.steps, evaluations);
      EXPECT_EQ(progress.x0 == nullptr, progress.step == 0);
      steps.push_back(progress.step);
      return progress.step < 3;
    };
    EXPECT_EQ(
        test::message_of([&] { sample(trained.process, exact_denoiser(trained, kData), request); }),
        "[sample] cancelled after step 3 of " + std::to_string(evaluations))
        << sampler;
    EXPECT_EQ(steps, (std::vector<int64_t>{0, 1, 2, 3})) << sampler;
  }
}

// As many draws as the sampler counts are enough, and one less is refused before it begins.
TEST_F(Samplers, CountTheDrawsOfNoiseBefore) {
  const Trained schedule("linear", 20), edm(ProcessConfig{.timesteps = 20, .objective = "edm"});
  const auto expect_draws = [&](const Trained& trained, SamplerOptions sampling, int64_t draws) {
    SampleRequest request = request_of(sampling.sampler, 2, {});
    request.sampling = std::move(sampling);
    for (int64_t d = 0; d < draws; ++d)
      request.noise.push_back(
          noise_of({1, 2}, static_cast<uint64_t>(d), 0, request.image, request.device));
    int evaluations = 0;
    const Denoiser exact = exact_denoiser(trained, kData);
    const Denoiser watched = [&](const Tensor& x, const Tensor& t) {
      ++evaluations;
      return exact(x, t);
    };
    EXPECT_NO_THROW(sample(trained.process, watched, request)) << request.sampling.sampler;
    evaluations = 0;
    if (draws == 1) return;  // none means that noise comes from the seeds
    request.noise.pop_back();
    const std::string error = test::refusal([&] { sample(trained.process, watched, request); });
    EXPECT_NE(error.find("needs " + std::to_string(draws)), std::string::npos) << error;
    EXPECT_EQ(evaluations, 0);
  };
  for (const char* sampler : {"ddim", "ipndm", "dpmpp-3m", "unipc", "heun", "euler"})
    expect_draws(schedule, {.sampler = sampler, .steps = 5}, 1);
  for (const char* sampler : {"ddpm", "dpmpp-2m-sde", "euler-ancestral"})
    expect_draws(schedule, {.sampler = sampler, .steps = 5}, 5);
  expect_draws(schedule, {.sampler = "ddim", .steps = 5, .eta = 0.5}, 5);
  expect_draws(schedule, {.sampler = "ddpm", .steps = 5, .clip = "dynamic"}, 5);
  // Churn acts at each of 5 levels, or at the levels with sigma <= 1.
  expect_draws(edm, {.sampler = "heun", .steps = 9, .churn = "4"}, 6);
  expect_draws(edm, {.sampler = "euler", .steps = 9, .churn = "4,0,1,1"}, 5);
}

std::string usage_error(const SampleRequest& request) {
  const Trained trained("linear", 10);
  return test::refusal([&] { sample(trained.process, exact_denoiser(trained, kData), request); });
}

TEST_F(Samplers, RefuseWhatCannotWork) {
  EXPECT_EQ(usage_error(request_of("dpm", 1, {})),
            "[sample] there is no sampler 'dpm'; choose auto, " + join_choices(sampler_names()));
  SampleRequest ancestral = request_of("ddpm", 1, {});
  ancestral.sampling.eta = 0.5;
  EXPECT_EQ(usage_error(ancestral),
            "[sample] eta is 0.5, but the sampler ddpm has none; use 0, or the sampler ddim, "
            "dpmpp-2m-sde or euler-ancestral");
  for (const std::string& sampler : sampler_names()) {
    const std::string most = find_sampler(sampler).two_evaluations ? "19" : "10";
    for (const int64_t steps : {-1, 20}) {
      const std::string error = usage_error(request_of(sampler, 1, steps));
      EXPECT_NE(error.find(std::to_string(steps)), std::string::npos) << error;
      if (steps < 0) continue;
      EXPECT_NE(error.find("choose 1 to " + most), std::string::npos) << error;
    }
    EXPECT_EQ(usage_error(request_of(sampler, 0, {})),
              "[sample] no images; at least 1 seed is needed");
  }
  SampleRequest request = request_of("ddim", 1, {});
  request.sampling.eta = -0.1;
  EXPECT_EQ(usage_error(request), "[sample] eta is -0.1; it must lie between 0 and 1");
  request.sampling.eta = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(usage_error(request), "");
  request = request_of("ddim", 1, {});
  request.image = {2, 2};
  EXPECT_NE(usage_error(request), "");
}

TEST_F(Samplers, RefuseChurnThatIsOutOfRange) {
  const auto refused = [](const std::string& churn) {
    return test::refusal([&] { parse_churn(churn); });
  };
  EXPECT_EQ(parse_churn("40,0.05,inf,1.003").noise, 1.003);
  EXPECT_EQ(parse_churn("1000000,0,1000000,10").highest, 1e6);
  EXPECT_EQ(
      refused("40,0.05,50,1e300"),
      "[sample] NOISE of churn '40,0.05,50,1e300' is 1e+300; it must be 0 to 10; 1 to 1.01 is "
      "usual");
  EXPECT_NE(refused("1e9").find("S of churn '1e9' is 1000000000; it must be 0 to 1000000"),
            std::string::npos);
  EXPECT_NE(refused("1,2,1,1").find("MAX of churn '1,2,1,1' is 1; it must be 2 to 1000000, or inf"),
            std::string::npos);
  for (const char* churn : {"-1", "nan", "inf", "1,-1,2,1", "1,inf,inf,1", "1,0,nan,1",
                            "1,0,-inf,1", "1,0,2,nan", "1,0,2,-1", "1,2", "a"})
    EXPECT_NE(refused(churn), "") << churn;
}

TEST_F(Samplers, RefuseANetworkOfAnotherShape) {
  const Trained trained("linear", 10);
  const Denoiser wider = [](const Tensor& x, const Tensor&) {
    return Tensor::zeros({x.size(0), 1, 2, 4});
  };
  EXPECT_THROW(sample(trained.process, wider, request_of("ddpm", 1, {})), Error);
}

}  // namespace
}  // namespace ddpm::test
