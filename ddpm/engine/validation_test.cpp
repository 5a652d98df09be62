#include "ddpm/engine/validation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/condition.h"
#include "ddpm/data/dataset.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/engine/model_test_support.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/nn/lucidrains/unet.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

// Pictures of 6x4 grey pixels with labels 0 and 1. `value` gives the values of pixels.
std::shared_ptr<const Pictures> pictures(int64_t count,
                                         const std::function<float(int64_t)>& value) {
  Tensor images({count, 6, 4, 1});
  for (int64_t i = 0; i < images.elements(); ++i) images.f32()[i] = value(i);
  ClassLabels labels{.names = {"a", "b"}};
  for (int64_t k = 0; k < count; ++k) labels.of_pictures.push_back(k % 2);
  return std::make_shared<Dataset>(images, "pictures", labels);
}

float wave(int64_t i) { return std::sin(static_cast<float>(i * i % 97)); }
float black(int64_t) { return 0; }

std::vector<uint64_t> hashes(int64_t count) {
  std::vector<uint64_t> all;
  for (int64_t k = 0; k < count; ++k)
    all.push_back(static_cast<uint64_t>(k * 7919 % 1000) * 0x9e3779b97f4a7c15u);
  return all;
}

ValidationLoss loss_of(const std::shared_ptr<const Pictures>& of, const ModelConfig& config,
                       const Network& network, int64_t batch, uint64_t seed = 3) {
  return *Validation(of, hashes(of->size()), config, {.seed = seed}).loss(network, batch);
}

void fill(Network& network, float value) {
  for (const NamedParameter& named : network.parameters()) {
    Tensor weights = named.parameter->variable.value();
    std::fill_n(weights.f32(), weights.elements(), value);
  }
}

// A network whose output is 0.
ValidationLoss loss_of_zero(const ProcessConfig& process, float (*value)(int64_t)) {
  ModelConfig config = test::small_config(100);
  config.process = process;
  const auto network = make_network(config.network);
  fill(*network, 0);
  return loss_of(pictures(40, value), config, *network, 7);
}

TEST(Validation, IsTheMeanOfTheSquaresOfTheTarget) {
  // The target is noise, at each level: 24 values of each of 280 pictures, 35 in each bin.
  const ValidationLoss eps = loss_of_zero({.timesteps = 100}, wave);
  ASSERT_EQ(eps.by_level.size(), 8u);
  EXPECT_NEAR(eps.mean, 1, 4 * std::sqrt(2.0 / (280 * 24)));
  for (const double loss : eps.by_level) EXPECT_NEAR(loss, 1, 4 * std::sqrt(2.0 / (35 * 24)));
  EXPECT_NEAR(std::accumulate(eps.by_level.begin(), eps.by_level.end(), 0.0) / 8, eps.mean, 1e-12);
  // The target is the picture. Each of 40 is used 7 times.
  double squares = 0;
  for (int64_t i = 0; i < 40 * 24; ++i) squares += double{wave(i)} * double{wave(i)} / (40 * 24);
  EXPECT_NEAR(loss_of_zero({.timesteps = 100, .objective = "x0"}, wave).mean, squares, 1e-6);
}

// Of black pictures the target is noise times a number, so the loss of each level is known.
TEST(Validation, TheFirstBinHasTheLeastNoise) {
  const ProcessConfig processes[] = {
      {.objective = "v"},
      {.objective = "edm"},
      {.objective = "flow", .weighting = "min-snr"},
      {.objective = "flow", .weighting = "min-snr", .time_sampling = "logit-normal"}};
  for (const ProcessConfig& config : processes) {
    const Process process(config);
    std::vector<NoiseLevel> levels;
    for (int k = 0; k < 280; ++k) levels.push_back(process.at_quantile((k + 0.5) / 280));
    std::sort(levels.begin(), levels.end(),
              [](const NoiseLevel& a, const NoiseLevel& b) { return a.ratio() < b.ratio(); });
    std::vector<double> wanted(8, 0.0);
    for (size_t k = 0; k < 280; ++k) {
      const Preconditioning use = process.preconditioning(levels[k]);
      wanted[k / 35] += use.weight * use.target_noise * use.target_noise / 35;
    }
    const std::vector<double> loss = loss_of_zero(config, black).by_level;
    for (size_t bin = 0; bin < 8; ++bin)
      EXPECT_NEAR(loss[bin], wanted[bin], 0.2 * wanted[bin]) << config.objective << bin;
    EXPECT_GT(wanted[0], 1.4 * wanted[7]);
  }
}

// Each with what a network can be told besides its noisy picture.
std::vector<ModelConfig> kinds_of_models() {
  std::vector<ModelConfig> all;
  for (const bool lucidrains : {false, true}) {
    ModelConfig config = test::small_config(100);
    if (lucidrains) {
      config.network = lucidrains::UnetConfig{.dim = 8, .dim_mults = {1, 2}, .channels = 1};
    }
    all.push_back(config);
    config.network.classes() = 2;
    config.class_names = {"a", "b"};
    config.condition = "downscale:2";
    config.network.condition_channels() = 1;
    config.process.learned_variance = true;
    config.process.offset_noise = 0.1;
    config.process.input_perturbation = 0.1;
    config.network.output_dim() = 2;
    JsonObject told{{"self_condition", "true"}, {"dropout", "0.3"}};
    read_options(told, config.network);
    all.push_back(config);
  }
  return all;
}

TEST(Validation, TheBitsDependOnNeitherBatchNorThreads) {
  const test::ThreadsScope scope;
  for (const ModelConfig& config : kinds_of_models()) {
    auto some = pictures(50, wave);
    if (config.network.condition_channels() > 0)
      some = with_condition(some, parse_condition("downscale:2"));
    const auto network = make_network(config.network);
    network->initialize(5);
    set_num_threads(1);
    const ValidationLoss one = loss_of(some, config, *network, 1);
    EXPECT_GT(one.mean, 0);
    for (const int64_t batch : {3, 16, 300}) {
      set_num_threads(2);
      const ValidationLoss other = loss_of(some, config, *network, batch);
      EXPECT_EQ(other.mean, one.mean) << batch;
      EXPECT_EQ(other.by_level, one.by_level) << batch;
    }
    EXPECT_NE(loss_of(some, config, *network, 16, 4).mean, one.mean);
  }
}

TEST(Validation, TakesTheSmallestHashesOfManyPictures) {
  const ModelConfig config = test::small_config(100);
  const Validation many(pictures(1200, wave), hashes(1200), config, {});
  EXPECT_EQ(many.count(), 1000);
  EXPECT_EQ(Validation(pictures(255, wave), hashes(255), config, {}).count(), 510);
  EXPECT_EQ(Validation(pictures(256, wave), hashes(256), config, {}).count(), 256);
  EXPECT_EQ(Validation(pictures(1, wave), {7}, config, {}).count(), 256);
  EXPECT_THROW(Validation(pictures(2, wave), {7}, config, {}), Error);
}

TEST(Validation, StopsWhenAsked) {
  const ModelConfig config = test::small_config(100);
  const Validation validation(pictures(1, wave), {7}, config, {.loss = LossKind::kL1});
  const auto network = make_network(config.network);
  int asked = 0;
  EXPECT_FALSE(validation.loss(*network, 100, [&](int64_t done) {
    EXPECT_EQ(done, 100 * asked);
    return ++asked < 3;
  }));
  EXPECT_EQ(asked, 3);
  EXPECT_TRUE(validation.loss(*network, 100, [](int64_t) { return true; }));
}

TEST(Validation, ALossThatIsNotFiniteIsAnError) {
  const ModelConfig config = test::small_config(100);
  const auto network = make_network(config.network);
  fill(*network, 1e30f);
  const Validation validation(pictures(1, wave), {7}, config, {});
  EXPECT_THROW(validation.loss(*network, 100), Error);
}

TEST(UsualValidationInterval, IsRoundAndCostsLittle) {
  EXPECT_EQ(usual_validation_interval(1000, 32), 500);
  EXPECT_EQ(usual_validation_interval(256, 32), 200);
  EXPECT_EQ(usual_validation_interval(256, 4096), 1);
  EXPECT_EQ(usual_validation_interval(256, 1), 5000);
}

}  // namespace
}  // namespace ddpm
