// Every objective, trained for some seconds on data whose distribution is known, draws from about
// that distribution. bench/objectives.cpp does the same for a minute each, with every option.
#include <gtest/gtest.h>

#include <string>

#include "ddpm/diffusion/objective.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/mixture.h"

namespace ddpm {
namespace {

constexpr int64_t kImages = 1000;

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
    // For the others it shrinks with the noise.
    EXPECT_LT(distance_after(options, 600), objective == "x0" ? 0.05 : 0.02) << objective;
  }
}

}  // namespace
}  // namespace ddpm
