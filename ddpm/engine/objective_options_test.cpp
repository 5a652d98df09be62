// What decides how a network is trained, each option by itself and all together: the same bits
// whatever the threads, with recomputing, and after a break; kept in the file; sampled by every
// sampler.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/folder.h"
#include "tests/support/gradients.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

using tutorial::UnetConfig;

struct Case {
  const char* name;
  std::function<void(TrainOptions&, UnetConfig&)> set;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"eps", [](TrainOptions&, UnetConfig&) {}},
      {"x0", [](TrainOptions& o, UnetConfig&) { o.process.objective = "x0"; }},
      {"v", [](TrainOptions& o, UnetConfig&) { o.process.objective = "v"; }},
      {"edm", [](TrainOptions& o, UnetConfig&) { o.process.objective = "edm"; }},
      {"flow", [](TrainOptions& o, UnetConfig&) { o.process.objective = "flow"; }},
      {"weighting", [](TrainOptions& o, UnetConfig&) { o.process.weighting = "min-snr"; }},
      {"soft_min_snr", [](TrainOptions& o, UnetConfig&) { o.process.weighting = "soft-min-snr"; }},
      {"edm_weighting",
       [](TrainOptions& o, UnetConfig&) {
         o.process.objective = "v";
         o.process.weighting = "edm";
       }},
      {"sigmoid", [](TrainOptions& o, UnetConfig&) { o.process.weighting = "sigmoid"; }},
      {"low_discrepancy", [](TrainOptions& o, UnetConfig&) { o.process.low_discrepancy = true; }},
      {"immiscible", [](TrainOptions& o, UnetConfig&) { o.process.pairing = "immiscible"; }},
      {"ot",
       [](TrainOptions& o, UnetConfig&) {
         o.process.objective = "flow";
         o.process.pairing = "ot";
       }},
      {"augment", [](TrainOptions& o, UnetConfig&) { o.optimizer.augment = 0.5; }},
      {"time_sampling",
       [](TrainOptions& o, UnetConfig&) {
         o.process.objective = "flow";
         o.process.time_sampling = "logit-normal";
       }},
      {"zero_snr",
       [](TrainOptions& o, UnetConfig&) {
         o.process.objective = "v";
         o.process.zero_snr = true;
       }},
      {"learned_variance", [](TrainOptions& o, UnetConfig&) { o.process.learned_variance = true; }},
      {"offset_noise", [](TrainOptions& o, UnetConfig&) { o.process.offset_noise = 0.1; }},
      {"input_perturbation",
       [](TrainOptions& o, UnetConfig&) { o.process.input_perturbation = 0.1; }},
      {"self_condition", [](TrainOptions&, UnetConfig& u) { u.self_condition = true; }},
      {"dropout", [](TrainOptions&, UnetConfig& u) { u.dropout = 0.1; }},
      {"all",
       [](TrainOptions& o, UnetConfig& u) {
         o.process.objective = "v";
         o.process.weighting = "min-snr";
         o.process.learned_variance = true;
         o.process.offset_noise = o.process.input_perturbation = 0.1;
         u.self_condition = true;
         u.dropout = 0.1;
       }},
  };
  return all;
}

TrainOptions options_of(const Case& one) {
  TrainOptions options;
  options.process.timesteps = 50;
  UnetConfig& unet = *options.network.get<UnetConfig>();
  unet.dim = 8;
  unet.dim_mults = {1, 2};
  options.optimizer.batch = 4;
  options.optimizer.lr = 2e-3;
  options.optimizer.lr_warmup = 2;
  one.set(options, unet);
  options.data.source = "memory";
  options.run.sample_steps = 10;
  options.check();
  return options;
}

Trainer trainer_of(const TrainOptions& options) {
  return Trainer(options.optimizer, options.model_config(4, 6, 1), [](int64_t step) {
    return test::random_tensor({4, 4, 6, 1}, static_cast<uint64_t>(step), 0.5f);
  });
}

// The losses and all weights.
std::vector<float> after(Trainer& trainer, int steps) {
  std::vector<float> values;
  for (int i = 0; i < steps; ++i) values.push_back(static_cast<float>(trainer.step().loss));
  for (const Tensor& tensor : parameter_tensors(trainer.network())) {
    for (const float value : tensor.values()) values.push_back(value);
  }
  return values;
}

TEST(ObjectiveOptions, NeitherThreadsNorRecomputingChangeABit) {
  const test::ThreadsScope scope;
  const auto trained = [](const TrainOptions& options, int threads) {
    set_num_threads(threads);
    Trainer trainer = trainer_of(options);
    return after(trainer, 4);
  };
  std::vector<std::vector<float>> seen;
  for (const Case& one : cases()) {
    TrainOptions options = options_of(one);
    seen.push_back(trained(options, 1));
    for (const float value : seen.back()) ASSERT_TRUE(std::isfinite(value)) << one.name;
    EXPECT_EQ(trained(options, 2), seen.back()) << one.name;
    options.optimizer.recompute = true;
    EXPECT_EQ(trained(options, 1), seen.back()) << one.name;
  }
  // Each option does something. Networks of other shapes always differ; the next test is about
  // them.
  for (size_t i = 0; i < seen.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      EXPECT_NE(seen[i], seen[j]) << cases()[i].name << " and " << cases()[j].name;
    }
  }
}

// The weights of one parameter that belong to one channel of its input or output. The last two axes
// of a convolution's weight are its inputs and its outputs.
std::vector<float> weights_of_channel(Trainer& trainer, const std::string& path, int64_t input,
                                      int64_t output) {
  std::vector<float> chosen;
  for (const NamedParameter& named : trainer.network().parameters()) {
    if (named.path != path) continue;
    const Tensor& weight = named.parameter->variable.value();
    const int64_t inputs = weight.size(2), outputs = weight.size(3);
    for (int64_t i = 0; i < weight.elements(); ++i) {
      const bool is = input >= 0 ? i / outputs % inputs == input : i % outputs == output;
      if (is) chosen.push_back(weight.f32()[i]);
    }
  }
  return chosen;
}

// The channels that two options add to the network are trained. They would stay as they were if the
// estimate were always 0, or if the loss did not read the variance: their gradient would be 0.
TEST(ObjectiveOptions, TheChannelsThatAnOptionAddsLearn) {
  int estimates = 0, variances = 0;
  for (const Case& one : cases()) {
    Trainer trainer = trainer_of(options_of(one));
    const bool estimate = trainer.network().takes().estimate;
    const bool variance = trainer.config().process.learned_variance;
    // Of images with one channel.
    const auto of_estimate = [&] { return weights_of_channel(trainer, "init_conv.weight", 1, -1); };
    const auto of_variance = [&] {
      return weights_of_channel(trainer, "final_conv.weight", -1, 1);
    };
    const std::vector<float> estimate_before = of_estimate(), variance_before = of_variance();
    ASSERT_EQ(estimate_before.size(), estimate ? 8u : 0u) << one.name;
    ASSERT_EQ(variance_before.size(), variance ? 8u : 0u) << one.name;
    after(trainer, 4);
    for (size_t i = 0; i < estimate_before.size(); ++i)
      EXPECT_NE(of_estimate()[i], estimate_before[i]) << one.name;
    for (size_t i = 0; i < variance_before.size(); ++i)
      EXPECT_NE(of_variance()[i], variance_before[i]) << one.name;
    estimates += estimate ? 1 : 0;
    variances += variance ? 1 : 0;
  }
  EXPECT_EQ(estimates, 2);
  EXPECT_EQ(variances, 2);
}

TEST(ObjectiveOptions, ABreakChangesNoBit) {
  const test::TemporaryFolder folder;
  for (const Case& one : cases()) {
    const TrainOptions options = options_of(one);
    Trainer straight = trainer_of(options), first = trainer_of(options),
            second = trainer_of(options);
    after(straight, 3);
    after(first, 3);
    const std::string path = folder / fmt::format("{}.safetensors", one.name);
    save_checkpoint(path, first.config(), first.network(), first.optimizer(), {});
    load_checkpoint(path, second.network(), second.optimizer());
    second.set_steps(first.steps());
    EXPECT_EQ(after(second, 3), after(straight, 3)) << one.name;
  }
}

TEST(ObjectiveOptions, TheFileAloneIsEnoughForEverySampler) {
  const test::TemporaryFolder folder;
  for (const Case& one : cases()) {
    Trainer trainer = trainer_of(options_of(one));
    after(trainer, 2);
    const std::string path = folder / fmt::format("{}.safetensors", one.name);
    save_model(path, trainer.config(), trainer.network(), parameter_tensors(trainer.network()), 2);
    const Model model = load_model(path);
    EXPECT_EQ(to_json(model.config), to_json(trainer.config())) << one.name;
    for (const std::string& sampler : sampler_names()) {
      GenerateOptions request{.count = 3, .sampling = {.sampler = sampler, .steps = 5}};
      const Tensor together = generate(*model.network, model.config, request);
      EXPECT_EQ(together.shape(), Shape({3, 4, 6, 1})) << one.name << " " << sampler;
      request.batch = 1;
      EXPECT_EQ(generate(*model.network, model.config, request).values(), together.values())
          << one.name << " " << sampler;
    }
  }
}

TEST(ObjectiveOptions, GoTogetherWithClassesInBothFamilies) {
  const NetworkConfig networks[] = {
      UnetConfig{.dim = 8, .dim_mults = {1, 2}, .dropout = 0.1, .self_condition = true},
      lucidrains::UnetConfig{.dim = 8,
                             .dim_mults = {1, 2},
                             .heads = {2},
                             .dim_head = {4},
                             .self_condition = true,
                             .dropout = 0.1}};
  for (const NetworkConfig& network : networks) {
    TrainOptions options;
    options.network = network;
    options.process = {.timesteps = 50, .objective = "v", .learned_variance = true};
    options.process.weighting = "min-snr";
    options.process.offset_noise = options.process.input_perturbation = 0.1;
    options.optimizer.lr_warmup = 0;
    ModelConfig config = options.model_config(4, 6, 1);
    config.network.classes() = 2;
    Trainer trainer(options.optimizer, config, [](int64_t step) {
      Batch batch = test::random_tensor({4, 4, 6, 1}, static_cast<uint64_t>(step), 0.5f);
      batch.labels = Tensor::of({4}, {0, 1, -1, 1});
      return batch;
    });
    after(trainer, 4);
    GenerateOptions request{.count = 2, .labels = {1, 0}, .guidance = 2.5, .guidance_rescale = 0.5};
    request.sampling.sampler = "ddpm";
    request.sampling.steps = 4;
    const Tensor together = generate(trainer.network(), config, request);
    EXPECT_EQ(together.shape(), Shape({4, 4, 6, 1})) << network.family();
    request.batch = 1;
    EXPECT_EQ(generate(trainer.network(), config, request).values(), together.values())
        << network.family();
    request.guidance = 1;
    EXPECT_NE(generate(trainer.network(), config, request).values(), together.values())
        << network.family();
  }
}

TEST(ObjectiveOptions, ALearnedVarianceNeedsItsChannels) {
  ModelConfig config{.network = UnetConfig{.dim = 8, .dim_mults = {1, 2}}};
  config.process.learned_variance = true;
  EXPECT_THROW(config.check(), UsageError);
  config.network.output_dim() = 6;
  EXPECT_NO_THROW(config.check());
}

}  // namespace
}  // namespace ddpm
