// Pictures that several ranks draw, which are threads here.
#include "ddpm/engine/drawing_ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/comm/thread_group.h"
#include "ddpm/data/dataset.h"
#include "ddpm/engine/drawn_pictures.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/mixture_model.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/model_test_support.h"
#include "ddpm/engine/tuner.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"
#include "tests/support/errors.h"
#include "tests/support/gradients.h"

namespace ddpm {
namespace {

using test::message_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Model model_of(const ModelConfig& config, uint64_t seed = 1) {
  Model model{.config = config, .network = make_network(config.network)};
  model.network->initialize(seed);
  return model;
}

ModelConfig config_with_classes(int64_t classes) {
  ModelConfig config = test::small_config(20);
  config.network.classes() = classes;
  return config;
}

ModelConfig config_of_greys() {
  ModelConfig config = test::small_config(20);
  config.network.channels() = 3;
  config.network.condition_channels() = 1;
  config.condition = "grey";
  return config;
}

Model mixture_model() {
  ModelConfig config{.height = 2, .width = 2, .process = {.timesteps = 50, .objective = "v"}};
  config.network = MixtureConfig{.mixture = std::make_shared<const GaussianMixture>(GaussianMixture{
                                     .size = 4,
                                     .weights = {0.7, 0.3},
                                     .means = {0.6, -0.4, 0.1, 1.0 / 3, -0.5, 0.3, 0.2, 0.1},
                                     .stds = {0.1, 0.05}}),
                                 .process = config.process,
                                 .height = 2,
                                 .width = 2};
  return {.config = config, .network = make_network(config.network)};
}

// Rank 0 draws, and the others serve it.
void on_ranks(int count, const std::function<void(DrawingRanks&)>& draw) {
  run_thread_group(count, [&](Communicator& communicator) {
    if (communicator.rank() > 0) return serve_drawing(communicator);
    DrawingRanks ranks(communicator);
    draw(ranks);
  });
}

// What generate() hands to its sink.
struct Sunk {
  std::vector<int64_t> which;
  std::vector<float> values;

  bool operator==(const Sunk&) const = default;
};

Sunk sunk(const Model& model, const GenerateOptions& options) {
  Sunk result;
  generate(*model.network, model.config, options, [&](const GeneratedBatch& batch) {
    result.which.insert(result.which.end(), batch.which.begin(), batch.which.end());
    const std::vector<float> values = batch.images.values();
    result.values.insert(result.values.end(), values.begin(), values.end());
  });
  return result;
}

void expect_same_bits(const Model& model, GenerateOptions options) {
  if (options.sampling.steps == 0) options.sampling.steps = 3;
  options.ranks = nullptr;
  const Sunk alone = sunk(model, options);
  for (const int count : {1, 2, 3, 4}) {
    on_ranks(count, [&](DrawingRanks& ranks) {
      ranks.share(*model.network, model.config);
      if (options.guide != nullptr) ranks.share(*options.guide->network, options.guide->config);
      options.ranks = &ranks;
      EXPECT_EQ(sunk(model, options), alone) << count << " ranks";
      EXPECT_EQ(generate(*model.network, model.config, options).values(), alone.values);
    });
  }
}

TEST(DrawingRanks, DrawTheSamePicturesInTheSameOrder) {
  expect_same_bits(model_of(test::small_config(20)), {.count = 11, .seed = 7, .batch = 2});
}

TEST(DrawingRanks, MayBeMoreThanThePictures) {
  expect_same_bits(model_of(test::small_config(20)), {.count = 1, .batch = 4});
  expect_same_bits(model_of(test::small_config(20)), {.count = 3, .batch = 4});
}

TEST(DrawingRanks, KnowAllOptions) {
  const Model model = model_of(test::small_config(20));
  expect_same_bits(model,
                   {.count = 5,
                    .seed = uint64_t{1} << 63,
                    .first = 1000,
                    .batch = 2,
                    .prepare_weights = false,
                    .height = 4,
                    .width = 8,
                    .sampling = {.sampler = "ddim", .steps = 4, .eta = 0.3, .clip = "none"}});
  expect_same_bits(model, {.count = 9, .batch = 2, .only = {0, 3, 4, 5, 8}});
}

TEST(DrawingRanks, DrawClassesWithGuidance) {
  const Model model = model_of(config_with_classes(3));
  expect_same_bits(model, {.count = 5, .batch = 2});
  expect_same_bits(model, {.count = 3,
                           .labels = {2, -1},
                           .guidance = 2.5,
                           .guidance_rescale = 0.5,
                           .guidance_interval = "0.1,20",
                           .batch = 2});
}

TEST(DrawingRanks, DrawWithAGuide) {
  const Model model = model_of(test::small_config(20)), guide = model_of(model.config, 2);
  expect_same_bits(model, {.count = 5, .guidance = 1.5, .guide = &guide, .batch = 2});
}

TEST(DrawingRanks, DrawFromConditions) {
  const Model model = model_of(config_of_greys());
  expect_same_bits(model,
                   {.count = 6, .batch = 2, .condition = test::random_tensor({3, 6, 4, 1}, 5)});
}

TEST(DrawingRanks, DrawFromRecordedNoise) {
  const Model model = model_of(test::small_config(20));
  GenerateOptions options{.count = 5, .batch = 2, .sampling = {.sampler = "ddpm", .steps = 3}};
  for (uint64_t draw = 0; draw < 3; ++draw)
    options.noise.push_back(test::random_tensor({5, 6, 4, 1}, draw));
  expect_same_bits(model, options);
}

TEST(DrawingRanks, DrawOfAMixture) { expect_same_bits(mixture_model(), {.count = 7, .batch = 2}); }

// The state of each image after each step, by its place among those drawn.
using States = std::map<std::pair<int64_t, int64_t>, std::vector<float>>;

States states_of(const Model& model, GenerateOptions options) {
  States states;
  options.progress = [&](const GenerateProgress& now) {
    for (int64_t i = 0; i < now.x->size(0); ++i) {
      std::vector<float>& values = states[{now.begin + i, now.step}];
      EXPECT_TRUE(values.empty()) << "told twice";
      values = now.x->rows(i, i + 1).clone().values();
      if (now.step == 0) continue;
      for (const float value : now.x0->rows(i, i + 1).clone().values()) values.push_back(value);
    }
    return true;
  };
  generate(*model.network, model.config, options);
  return states;
}

TEST(DrawingRanks, ShowTheStatesOfAllPictures) {
  const Model model = model_of(test::small_config(20));
  GenerateOptions options{.count = 7, .batch = 2, .sampling = {.steps = 4}};
  const States alone = states_of(model, options);
  EXPECT_EQ(alone.size(), 7u * 5);
  options.all_states = true;
  for (const int count : {2, 3}) {
    on_ranks(count, [&](DrawingRanks& ranks) {
      ranks.share(*model.network, model.config);
      options.ranks = &ranks;
      EXPECT_EQ(states_of(model, options), alone) << count << " ranks";
    });
  }
}

TEST(DrawingRanks, CountThePicturesOfAll) {
  const Model model = model_of(test::small_config(20));
  on_ranks(3, [&](DrawingRanks& ranks) {
    ranks.share(*model.network, model.config);
    std::vector<double> done;
    generate(*model.network, model.config,
             {.count = 8,
              .ranks = &ranks,
              .batch = 2,
              .progress =
                  [&](const GenerateProgress& now) {
                    done.push_back(now.done);
                    return true;
                  },
              .sampling = {.steps = 2}});
    EXPECT_THAT(done, ElementsAre(0, 3, 6, 6, 7, 8));
  });
}

TEST(DrawingRanks, StopAtACancellationAndDrawAgain) {
  const Model model = model_of(test::small_config(20));
  GenerateOptions options{.count = 9, .batch = 2, .sampling = {.steps = 3}};
  const std::vector<float> all = generate(*model.network, model.config, options).values();
  const auto first = [&](int64_t images) {
    return std::vector<float>(all.begin(), all.begin() + images * 6 * 4);
  };
  for (const bool all_states : {false, true}) {
    on_ranks(2, [&](DrawingRanks& ranks) {
      ranks.share(*model.network, model.config);
      options.ranks = &ranks;
      options.all_states = all_states;
      const auto cancelled_at = [&](int64_t begin, int64_t step) {
        options.progress = [=](const GenerateProgress& now) {
          return now.begin < begin || now.step < step;
        };
        return generate(*model.network, model.config, options).values();
      };
      EXPECT_EQ(cancelled_at(0, 0), first(0));
      EXPECT_EQ(cancelled_at(4, 2), first(4));
      // After its last step the batch of rank 0 is finished, but not that of rank 1.
      EXPECT_EQ(cancelled_at(4, 3), first(6));
      options.progress = {};
      EXPECT_EQ(generate(*model.network, model.config, options).values(), all);
    });
  }
}

TEST(DrawingRanks, AFailureOfOneIsToldByRank0) {
  const Model model = model_of(test::small_config(20));
  for (const bool all_states : {false, true}) {
    on_ranks(3, [&](DrawingRanks& ranks) {
      ranks.share(*model.network, model.config);
      GenerateOptions options{
          .count = 6, .ranks = &ranks, .all_states = all_states, .sampling = {.steps = 2}};
      options.noise = {test::random_tensor({6, 6, 4, 1}, 1)};
      options.noise[0].rows(3, 4).f32()[0] = std::numeric_limits<float>::quiet_NaN();
      options.sampling.sampler = "ddim";
      options.progress = [](const GenerateProgress&) { return true; };
      EXPECT_THAT(message_of([&] { generate(*model.network, model.config, options); }),
                  AllOf(HasSubstr("rank 1 ("), HasSubstr("nan")));
      options.noise.clear();
      EXPECT_EQ(generate(*model.network, model.config, options).size(0), 6);
    });
  }
}

TEST(DrawingRanks, GoOnServingAfterAFailureOfRank0) {
  const Model model = model_of(test::small_config(20));
  on_ranks(3, [&](DrawingRanks& ranks) {
    ranks.share(*model.network, model.config);
    const GenerateOptions options{
        .count = 12, .ranks = &ranks, .batch = 2, .sampling = {.steps = 2}};
    const auto full_disk = [](const GeneratedBatch&) { throw Error("the disk is full"); };
    EXPECT_EQ(message_of([&] { generate(*model.network, model.config, options, full_disk); }),
              "the disk is full");
    EXPECT_EQ(generate(*model.network, model.config, options).size(0), 12);
  });
}

TEST(DrawingRanks, GetTheWeightsThatWereSharedLast) {
  const Model model = model_of(test::small_config(20));
  on_ranks(2, [&](DrawingRanks& ranks) {
    GenerateOptions options{.count = 4, .sampling = {.steps = 2}};
    ranks.share(*model.network, model.config);
    model.network->initialize(9);
    const std::vector<float> alone = generate(*model.network, model.config, options).values();
    options.ranks = &ranks;
    EXPECT_NE(generate(*model.network, model.config, options).values(), alone);
    ranks.share(*model.network, model.config);
    EXPECT_EQ(generate(*model.network, model.config, options).values(), alone);
  });
}

TEST(DrawingRanks, ANetworkThatWasNotSharedIsAnError) {
  const Model model = model_of(test::small_config(20));
  on_ranks(2, [&](DrawingRanks& ranks) {
    EXPECT_THAT(message_of([&] { generate(*model.network, model.config, {.ranks = &ranks}); }),
                HasSubstr("share()"));
  });
}

TEST(DrawingRanks, DrawWhatAnEvaluationJudges) {
  Model model = model_of(config_with_classes(3));
  model.config.class_counts = {5, 1, 7};
  GenerateOptions options{.count = 13, .batch = 2, .sampling = {.steps = 2}};
  const auto read = [&] {
    const Tensor pictures =
        drawn_pictures(*model.network, model.config, options, nullptr)->read(1, 11, {});
    return std::vector<uint8_t>(pictures.u8(), pictures.u8() + pictures.elements());
  };
  const std::vector<uint8_t> alone = read();
  on_ranks(3, [&](DrawingRanks& ranks) {
    ranks.share(*model.network, model.config);
    options.ranks = &ranks;
    EXPECT_EQ(read(), alone);
  });
}

TEST(DrawingRanks, DrawWhatATunerCompares) {
  const Model model = mixture_model();
  GenerateOptions options{.count = 4, .sampling = {.steps = 3}};
  const TuneResult alone = tune(*model.network, model.config, options);
  on_ranks(3, [&](DrawingRanks& ranks) {
    ranks.share(*model.network, model.config);
    options.ranks = &ranks;
    const TuneResult result = tune(*model.network, model.config, options);
    EXPECT_EQ(result.levels.times, alone.levels.times);
    EXPECT_EQ(result.before, alone.before);
    EXPECT_EQ(result.after, alone.after);
  });
}

}  // namespace
}  // namespace ddpm
