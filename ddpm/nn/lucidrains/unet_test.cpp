#include "ddpm/nn/lucidrains/unet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/gradients.h"

namespace ddpm::lucidrains {
namespace {

using test::message_of;
using test::random_tensor;

const UnetConfig kSmall{
    .dim = 8, .dim_mults = {1, 2}, .channels = 2, .heads = {2}, .dim_head = {4}};

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    EXPECT_NE(message.find(word), std::string::npos) << message << " lacks " << word;
}

StateDictShapes shapes_of(const UnetConfig& config) {
  const auto network = make_network(NetworkConfig(config), Device::kDry);
  StateDictShapes shapes;
  for (const NamedParameter& named : network->parameters())
    shapes.emplace(named.path, named.parameter->variable.shape());
  return shapes;
}

TEST(LucidrainsConfig, ImpossibleValuesAreNamed) {
  expect_words(message_of([] { UnetConfig{.dim = 9}.check(); }), {"dim is 9", "even", "10"});
  expect_words(message_of([] { UnetConfig{.dim = 2}.check(); }), {"dim is 2", "4 would work"});
  EXPECT_NO_THROW((UnetConfig{.dim = 9, .learned_sinusoidal_cond = true}.check()));
  expect_words(message_of([] {
                 UnetConfig{.learned_sinusoidal_cond = true, .learned_sinusoidal_dim = 7}.check();
               }),
               {"learned_sinusoidal_dim is 7", "8 would work"});
  expect_words(message_of([] {
                 UnetConfig{.heads = {1, 2}}.check();
               }),
               {"heads has 2 numbers for 4 levels"});
  expect_words(message_of([] {
                 UnetConfig{.full_attn = {0, 1, 2, 1}}.check();
               }),
               {"full-attn", "2", "0 and 1"});
  expect_words(message_of([] { UnetConfig{.dropout = 1}.check(); }), {"dropout", "below 1"});
  expect_words(message_of([] { UnetConfig{}.check_image(32, 30); }), {"width 30", "24 or 32"});
}

TEST(LucidrainsConfig, OneNumberStandsForAllLevels) {
  NetworkConfig config;
  read_options(JsonObject::parse(R"({"network": "lucidrains", "heads": [2], "attn_dim_head": [4, 8],
                                     "dim_mults": [1, 2], "full_attn": [0],
                                     "sinusoidal_pos_emb_theta": 500})",
                                 "test"),
               config);
  const UnetConfig& read = *config.get<UnetConfig>();
  EXPECT_EQ(read.heads_at(1), 2);
  EXPECT_EQ(read.dim_head_at(1), 8);
  EXPECT_FALSE(read.full_attention_at(1));
  EXPECT_EQ(read.theta, 500);
  EXPECT_TRUE(UnetConfig{}.full_attention_at(3));
  EXPECT_FALSE(UnetConfig{}.full_attention_at(2));
}

TEST(LucidrainsRecognise, TheOptionsAreReadOffNamesAndShapes) {
  const UnetConfig config{.dim = 6,
                          .dim_mults = {1, 2, 3},
                          .channels = 2,
                          .init_dim = 10,
                          .classes = 4,
                          .heads = {1, 3, 2},
                          .dim_head = {5, 4, 6},
                          .full_attn = {0, 1, 0},
                          .mem_kv = 3,
                          .learned_sinusoidal_cond = true,
                          .learned_sinusoidal_dim = 10,
                          .self_condition = true};
  const auto found = recognise_network(shapes_of(config), {});
  ASSERT_TRUE(found);
  EXPECT_EQ(*found->get<UnetConfig>(), config);
}

TEST(LucidrainsRecognise, WhatIsGivenMustFitTheWeights) {
  const auto shapes = shapes_of(kSmall);
  EXPECT_EQ(recognise_network(shapes, {{"theta", "500"}})->get<UnetConfig>()->theta, 500);
  EXPECT_NO_THROW(recognise_network(shapes, {{"heads", "2"}, {"dim_head", "[4, 4]"}}));
  EXPECT_THROW(recognise_network(shapes, {{"heads", "4"}}), UsageError);
}

TEST(LucidrainsRecognise, AnEarlierEstimateBesideAVarianceIsToldByTheUser) {
  UnetConfig config = kSmall;
  config.self_condition = true;
  config.output_dim = 2 * config.channels;
  const auto told = recognise_network(shapes_of(config), {{"self_condition", "true"}});
  ASSERT_TRUE(told);
  EXPECT_EQ(*told->get<UnetConfig>(), config);
  EXPECT_EQ(recognise_network(shapes_of(config), {})->channels(), 4);
  config.channels = 3;
  config.self_condition = false;
  EXPECT_THROW(recognise_network(shapes_of(config), {{"self_condition", "true"}}), UsageError);
}

TEST(LucidrainsRecognise, ANetworkThatCannotBeIsNamed) {
  StateDictShapes shapes = shapes_of(kSmall);
  shapes.erase("downs.1.2.mem_kv");
  expect_words(message_of([&] { recognise_network(shapes, {}); }), {"downs.1.2.mem_kv"});
}

TEST(LucidrainsUnet, ABatchTooLargeForTheCacheGivesTheSameBitsInParts) {
  // Attentions so wide that four pictures of 16 x 16 fill it.
  Unet network({.dim = 4,
                .dim_mults = {1},
                .heads = {16},
                .dim_head = {240},
                .full_attn = {0},
                .self_condition = true});
  network.initialize(1);
  const NetworkInput input{.x = Variable(random_tensor({5, 16, 16, 3}, 1)),
                           .t = Tensor::of({5}, {1, 20, 300, 4, 999}),
                           .estimate = Variable(random_tensor({5, 16, 16, 3}, 2))};
  const std::vector<float> whole = network(input).value().values();
  const Inference scope;
  EXPECT_EQ(network(input).value().values(), whole);
}

TEST(LucidrainsUnet, APartOfABatchHasItsPartOfTheCondition) {
  Unet network({.dim = 4,
                .dim_mults = {1},
                .condition_channels = 1,
                .heads = {16},
                .dim_head = {240},
                .full_attn = {0}});
  network.initialize(1);
  const NetworkInput input{.x = Variable(random_tensor({5, 16, 16, 3}, 1)),
                           .t = Tensor::of({5}, {1, 20, 300, 4, 999}),
                           .condition = Variable(random_tensor({5, 16, 16, 1}, 2))};
  const std::vector<float> whole = network(input).value().values();
  const Inference scope;
  EXPECT_EQ(network(input).value().values(), whole);
}

// What the first convolution reads: the estimate, then the noisy image, then the condition.
TEST(LucidrainsUnet, TheFirstConvolutionReadsEstimateThenImageThenCondition) {
  UnetConfig config = kSmall;
  config.self_condition = true;
  config.condition_channels = 1;
  Unet network(config);
  network.initialize(1);
  EXPECT_TRUE(network.takes().condition);
  Tensor& weight = network.parameters().front().parameter->variable.value();
  ASSERT_EQ(weight.shape(), (Shape{7, 7, 5, 8}));
  const std::vector<Tensor> maps = {random_tensor({1, 8, 8, 2}, 1), random_tensor({1, 8, 8, 2}, 2),
                                    random_tensor({1, 8, 8, 1}, 3)};
  const auto output = [&](int zeroed) {
    std::vector<Variable> all;
    for (const Tensor& map : maps) all.emplace_back(map);
    if (zeroed >= 0) all[zeroed] = Variable(Tensor::zeros(maps[zeroed].shape()));
    return network(
               {.x = all[1], .t = Tensor::of({1}, {20}), .condition = all[2], .estimate = all[0]})
        .value()
        .values();
  };
  // The map whose weights are zero is the one that does not matter.
  const std::vector<float> initial = weight.values();
  const std::vector<std::vector<int64_t>> channels = {{0, 1}, {2, 3}, {4}};
  for (int map = 0; map < 3; ++map) {
    std::copy(initial.begin(), initial.end(), weight.f32());
    for (int64_t tap = 0; tap < 7 * 7; ++tap) {
      for (const int64_t channel : channels[map])
        std::fill_n(weight.f32() + (tap * 5 + channel) * 8, 8, 0.0f);
    }
    for (int zeroed = 0; zeroed < 3; ++zeroed)
      EXPECT_EQ(output(zeroed) == output(-1), zeroed == map) << map << " " << zeroed;
  }
}

TEST(LucidrainsUnet, TheClassOfAnImageChangesItsOutputAlone) {
  UnetConfig config = kSmall;
  config.classes = 3;
  Unet network(config), without(kSmall);
  network.initialize(1);
  without.initialize(1);
  const Tensor x = random_tensor({3, 8, 8, 2}, 1), t = Tensor::of({3}, {1, 20, 300});
  const auto output = [&](const std::vector<float>& labels) {
    return network({.x = Variable(x), .t = t, .labels = Tensor::of({3}, labels)}).value();
  };
  const Tensor mixed = output({2, -1, 0});
  EXPECT_EQ(output({2, 2, 2}).rows(0, 1).values(), mixed.rows(0, 1).values());
  EXPECT_NE(output({2, 2, 2}).rows(1, 2).values(), mixed.rows(1, 2).values());
  EXPECT_THROW(network({.x = Variable(x), .t = t}), Error);
  for (NamedParameter& named : network.parameters()) {
    if (named.path == "class_embedding.weight")
      named.parameter->variable.value() = Tensor::zeros({4, 32});
  }
  EXPECT_EQ(output({2, -1, 0}).values(), without({.x = Variable(x), .t = t}).value().values());
}

TEST(LucidrainsUnet, DropoutDependsOnTheSeedOfEachImageAlone) {
  UnetConfig config = kSmall;
  config.dropout = 0.5;
  Unet network(config);
  network.initialize(1);
  const Tensor x = random_tensor({3, 8, 8, 2}, 1), t = Tensor::of({3}, {1, 20, 300});
  const auto run = [&](std::vector<uint64_t> seeds) {
    return network({.x = Variable(x), .t = t, .dropout_seeds = std::move(seeds)}).value();
  };
  const Tensor dropped = run({7, 8, 9});
  EXPECT_EQ(run({7, 8, 9}).values(), dropped.values());
  EXPECT_NE(run({7, 8, 10}).rows(2, 3).values(), dropped.rows(2, 3).values());
  EXPECT_EQ(run({7, 8, 10}).rows(0, 2).values(), dropped.rows(0, 2).values());
  EXPECT_NE(run({}).values(), dropped.values());
  const NetworkInput all{.x = Variable(x), .t = t, .dropout_seeds = {7, 8, 9}};
  EXPECT_EQ(network(all.rows(1, 3)).value().values(), dropped.rows(1, 3).values());
  const Unet without(kSmall);
  EXPECT_THROW(without(all), Error);
}

// With the inside of blocks computed again the gradients of weights have the same bits, dropped
// activations included.
TEST(LucidrainsUnet, RecomputingChangesNoBit) {
  UnetConfig config = kSmall;
  config.dropout = 0.5;
  config.learned_sinusoidal_cond = true;
  const auto gradients = [&](bool recompute) {
    Unet network(config);
    network.initialize(1);
    network.set_recompute(recompute);
    Tape tape;
    Variable out;
    {
      const Tape::Recording recording(tape);
      out = network({.x = Variable(random_tensor({2, 8, 8, 2}, 1)),
                     .t = Tensor::of({2}, {0.25f, 3}),
                     .dropout_seeds = {1, 2}});
    }
    tape.backward(out, random_tensor(out.shape(), 2));
    std::vector<std::vector<float>> all;
    for (const NamedParameter& named : network.parameters())
      all.push_back(named.parameter->variable.grad().values());
    return all;
  };
  EXPECT_EQ(gradients(false), gradients(true));
}

TEST(LucidrainsUnet, FrequenciesThatAreDrawnAreNotTrained) {
  UnetConfig config = kSmall;
  for (const bool random : {false, true}) {
    config.learned_sinusoidal_cond = true;
    config.random_fourier_features = random;
    Unet network(config);
    network.initialize(3);
    for (const NamedParameter& named : network.parameters()) {
      if (named.path == "time_mlp.0.weights") {
        EXPECT_EQ(named.parameter->variable.requires_grad(), !random);
        EXPECT_NE(named.parameter->variable.value().values()[0], 0);
      }
    }
  }
}

TEST(LucidrainsUnet, MemoryStartsFromNormalNumbers) {
  Unet network(UnetConfig{.dim = 16, .dim_mults = {1, 2}});
  network.initialize(3);
  for (const NamedParameter& named : network.parameters()) {
    if (!named.path.ends_with("mem_kv")) continue;
    double sum = 0, squares = 0;
    const std::vector<float> values = named.parameter->variable.value().values();
    for (const float v : values) sum += v, squares += double{v} * v;
    const auto n = static_cast<double>(values.size());
    EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n)) << named.path;
    EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2 / n)) << named.path;
  }
}

TEST(LucidrainsUnet, ParameterCountOfTheDefaultNetwork) {
  EXPECT_EQ(Unet(UnetConfig{}, Device::kDry).parameter_count(), 35711491);
}

}  // namespace
}  // namespace ddpm::lucidrains
