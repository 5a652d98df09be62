// Data whose distribution is known. An exact network draws from that distribution whatever its
// objective is. A network that was trained for some seconds draws from about that distribution.
// bench/objectives.cpp does the same for a minute each, with every option.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/diffusion/initial_noise.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/mixture.h"

namespace ddpm {
namespace {

constexpr int64_t kImages = 1000;

// A network without error: it gives what makes the estimate of the image the exact mean. It finds
// the level by t, which is that of one of the steps.
Denoiser exact_network(const Process& process, const std::vector<NoiseStep>& steps) {
  return [&](const Tensor& input, const Tensor& t) {
    const auto step = std::find_if(steps.begin(), steps.end(), [&](const NoiseStep& one) {
      return static_cast<float>(one.from.t) == t.f32()[0];
    });
    if (step == steps.end())
      fail("test", "the sampler asks for a level that is not one of its own");
    const Preconditioning use = process.preconditioning(step->from);
    Tensor x(input.shape());
    for (int64_t i = 0; i < x.elements(); ++i)
      x.f32()[i] = static_cast<float>(input.f32()[i] / use.c_in);
    Tensor output = test::mixture_denoised(x, step->from);
    for (int64_t i = 0; i < x.elements(); ++i) {
      output.f32()[i] = static_cast<float>((output.f32()[i] - use.c_skip * x.f32()[i]) / use.c_out);
    }
    return output;
  };
}

double exact_distance(const ProcessConfig& config, const std::string& sampler) {
  constexpr int64_t kSteps = 250;
  const Process process(config);
  const std::vector<NoiseStep> steps = process.steps(kSteps);
  const Tensor drawn = sample(process, exact_network(process, steps),
                              {.sampler = sampler,
                               .image = test::mixture_image(),
                               .image_seeds = image_seeds(0, 0, kImages),
                               .steps = kSteps});
  return test::energy_distance(drawn, test::mixture_samples(2, 0, kImages));
}

TEST(Mixture, AnExactNetworkOfAnyObjectiveDrawsTheDistributionByAnySampler) {
  for (const std::string& sampler : sampler_names()) {
    for (const std::string& objective : objective_names()) {
      ProcessConfig config;
      config.objective = objective;
      EXPECT_LT(exact_distance(config, sampler), 0.003) << objective << " by " << sampler;
    }
    for (const std::string objective : {"x0", "v"}) {
      ProcessConfig config;
      config.objective = objective;
      config.zero_snr = true;
      EXPECT_LT(exact_distance(config, sampler), 0.003) << objective << " zero-snr by " << sampler;
    }
  }
}

// How far what a network draws lies from exact samples.
double distance_after(const TrainOptions& options, int64_t steps) {
  const int64_t batch = options.optimizer.batch;
  Trainer trainer(options.optimizer, options.model_config(2, 2, 1),
                  [&](int64_t step) { return test::mixture_samples(1, step * batch, batch); });
  for (int64_t i = 0; i < steps; ++i) trainer.step();
  const Tensor drawn =
      generate(*trainer.averaged_network(), trainer.config(),
               {.count = kImages, .sampler = "ddim", .steps = 30, .batch = kImages});
  return test::energy_distance(drawn, test::mixture_samples(2, 0, kImages));
}

TEST(Mixture, EveryObjectiveLearnsTheDistribution) {
  const double exact = test::energy_distance(test::mixture_samples(3, 0, kImages),
                                             test::mixture_samples(2, 0, kImages));
  EXPECT_LT(exact, 0.005);
  TrainOptions options;
  options.data.source = "mixture";
  tutorial::UnetConfig& unet = *options.network.get<tutorial::UnetConfig>();
  unet.dim = 16;
  unet.dim_mults = {1};
  unet.weight_standardization_eps = 1e-5;
  options.optimizer.batch = 64;
  options.optimizer.lr = 4e-3;
  options.optimizer.ema_decay = 0.98;
  EXPECT_GT(distance_after(options, 1), 0.1);
  for (const std::string& objective : objective_names()) {
    options.process.objective = objective;
    // An error of the network's output is an error of the picture itself for x0, at every level.
    // For the others it shrinks with the noise, so x0 takes longer to learn (docs/objectives.md).
    EXPECT_LT(distance_after(options, 600), objective == "x0" ? 0.05 : 0.02) << objective;
  }
}

}  // namespace
}  // namespace ddpm
