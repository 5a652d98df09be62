#include "ddpm/nn/network.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::message_of;
using tutorial::UnetConfig;

const UnetConfig kSmall{.dim = 8, .dim_mults = {1, 2}, .channels = 1, .groups = 2};

// The names and shapes in a state dict of this network.
StateDictShapes shapes_of(const UnetConfig& config) {
  const auto network = make_network(NetworkConfig(config), Device::kDry);
  StateDictShapes shapes;
  for (const NamedParameter& named : network->parameters())
    shapes.emplace(named.path, named.parameter->variable.shape());
  return shapes;
}

JsonObject given(std::string name, std::string value) {
  JsonObject object;
  object.set(std::move(name), std::move(value));
  return object;
}

TEST(NetworkConfig, TheFirstFamilyIsTheDefault) {
  const NetworkConfig config;
  EXPECT_EQ(config.family(), network_families().front().name);
  EXPECT_EQ(config, NetworkConfig(UnetConfig{}));
}

TEST(NetworkConfig, CopiesAreIndependent) {
  NetworkConfig config = kSmall;
  NetworkConfig copy = config;
  copy.get<UnetConfig>()->dim = 16;
  copy.channels() = 3;
  EXPECT_EQ(config.get<UnetConfig>()->dim, 8);
  EXPECT_EQ(config.channels(), 1);
  EXPECT_NE(config, copy);
  config = copy;
  EXPECT_EQ(config, copy);
}

TEST(NetworkConfig, FieldsReachTheFamilysOptions) {
  NetworkConfig config;
  read_options(JsonObject::parse(R"({"network": "tutorial", "dim": 8, "resnet_block_groups": 2,
                                     "dim_mults": [1, 2]})",
                                 "test"),
               config);
  EXPECT_EQ(config.get<UnetConfig>()->dim, 8);
  EXPECT_EQ(config.get<UnetConfig>()->groups, 2);
  EXPECT_EQ(config.side_divisor(), 2);
  EXPECT_THROW(read_options(JsonObject::parse(R"({"network": "transformer"})", "test"), config),
               UsageError);
}

TEST(NetworkConfig, EveryFamilyTakesACondition) {
  for (const NetworkFamily& family : network_families()) {
    SCOPED_TRACE(family.name);
    NetworkConfig config = family.defaults();
    EXPECT_EQ(config.condition_channels(), 0);
    EXPECT_FALSE(make_network(config, Device::kDry)->takes().condition);
    config.condition_channels() = 3;
    EXPECT_NE(config, family.defaults());
    EXPECT_TRUE(make_network(config, Device::kDry)->takes().condition);
    config.condition_channels() = -1;
    EXPECT_THROW(config.check(), UsageError);
  }
}

TEST(NetworkConfig, EveryFamilyIsMadeFromItsDefaults) {
  for (const NetworkFamily& family : network_families()) {
    const NetworkConfig config = family.defaults();
    EXPECT_EQ(config.family(), family.name);
    EXPECT_GT(make_network(config, Device::kDry)->parameter_count(), 0);
  }
}

TEST(NetworkConfig, ImpossibleOptionsAreRefusedBeforeAnythingIsBuilt) {
  EXPECT_THROW(make_network(UnetConfig{.dim = 9, .groups = 1}), UsageError);
}

TEST(Recognise, TheOptionsAreReadOffNamesAndShapes) {
  const UnetConfig config{.dim = 8,
                          .dim_mults = {1, 2, 3},
                          .channels = 2,
                          .init_dim = 12,
                          .output_dim = 4,
                          .groups = 4,
                          .heads = 4,
                          .dim_head = 6};
  const auto found = recognise_network(shapes_of(config), {});
  ASSERT_TRUE(found);
  EXPECT_EQ(*found->get<UnetConfig>(), config);
}

TEST(Recognise, LevelsWithoutAnAttentionAreReadOffTheNames) {
  const UnetConfig config{.dim = 8, .dim_mults = {1, 2}, .attention_levels = {0, 1}};
  const auto found = recognise_network(shapes_of(config), {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->get<UnetConfig>()->attention_levels, config.attention_levels);
}

TEST(Recognise, WhatNoShapeTellsMayBeGiven) {
  const auto found = recognise_network(shapes_of(kSmall), given("heads", "2"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->get<UnetConfig>()->heads, 2);
  EXPECT_EQ(found->get<UnetConfig>()->dim_head, 64);
  EXPECT_THROW(recognise_network(shapes_of(kSmall), given("heads", "3")), UsageError);
}

TEST(Recognise, OtherStateDictsAreOfNoFamily) {
  EXPECT_FALSE(recognise_network({{"conv_in.weight", Shape{3, 3, 3, 8}}}, {}));
}

TEST(Recognise, ANetworkThatCannotBeIsNamed) {
  StateDictShapes shapes = shapes_of(kSmall);
  shapes.erase("mid_attention.func.func.input_to_qkv.weight");
  EXPECT_NE(message_of([&] { recognise_network(shapes, {}); }).find("input_to_qkv"),
            std::string::npos);
}

TEST(Network, InputsThatItDoesNotTakeAreRefused) {
  const auto network = make_network(kSmall);
  NetworkInput input{.x = Variable(Tensor::zeros({1, 4, 4, 1})), .t = Tensor::zeros({1})};
  EXPECT_NO_THROW((*network)(input));
  NetworkInput labelled = input;
  labelled.labels = Tensor::zeros({1});
  EXPECT_NE(message_of([&] { (*network)(labelled); }).find("labels is given"), std::string::npos);
  NetworkInput conditioned = input;
  conditioned.condition = Variable(Tensor::zeros({1, 4, 4, 1}));
  EXPECT_THROW((*network)(conditioned), Error);
  NetworkInput estimated = input;
  estimated.estimate = Variable(Tensor::zeros({1, 4, 4, 1}));
  EXPECT_THROW((*network)(estimated), Error);
}

TEST(Network, AConditionIsNeededAndFits) {
  UnetConfig config = kSmall;
  config.condition_channels = 2;
  const auto network = make_network(config);
  NetworkInput input{.x = Variable(Tensor::zeros({1, 4, 4, 1})), .t = Tensor::zeros({1})};
  EXPECT_NE(message_of([&] { (*network)(input); }).find("condition is missing"), std::string::npos);
  for (const Shape& wrong : {Shape{1, 4, 4, 1}, Shape{2, 4, 4, 2}, Shape{1, 2, 4, 2}}) {
    input.condition = Variable(Tensor::zeros(wrong));
    EXPECT_NE(message_of([&] { (*network)(input); }).find("must be [1, 4, 4, 2]"),
              std::string::npos);
  }
  input.condition = Variable(Tensor::zeros({1, 4, 4, 2}));
  EXPECT_NO_THROW((*network)(input));
}

TEST(Network, MapsThatAreThereAreConcatenated) {
  const Variable a(Tensor::of({1, 1, 2, 1}, {1, 2})), b(Tensor::of({1, 1, 2, 2}, {3, 4, 5, 6}));
  const Variable none;
  EXPECT_EQ(concat_defined({a, none, b}).value().values(), (std::vector<float>{1, 3, 4, 2, 5, 6}));
  EXPECT_EQ(concat_defined({a, none}).value().f32(), a.value().f32());  // no copy
  EXPECT_FALSE(concat_defined({none}).defined());
}

TEST(Network, RowsOfAnInputAreRowsOfAllThatIsThere) {
  const NetworkInput input{.x = Variable(Tensor::zeros({3, 2, 2, 1})),
                           .t = Tensor::of({3}, {1, 2, 3}),
                           .labels = Tensor::of({3}, {4, 5, 6})};
  const NetworkInput rows = input.rows(1, 3);
  EXPECT_EQ(rows.x.shape(), (Shape{2, 2, 2, 1}));
  EXPECT_EQ(rows.t.values(), (std::vector<float>{2, 3}));
  EXPECT_EQ(rows.labels.values(), (std::vector<float>{5, 6}));
  EXPECT_FALSE(rows.condition.defined());
}

TEST(Recognise, SelfConditioningIsToldByTheUser) {
  UnetConfig config = kSmall;
  config.self_condition = true;
  config.init_dim = config.dim;
  config.output_dim = config.channels;
  config.groups = 4;
  const auto read = recognise_network(shapes_of(config), given("self_condition", "true"));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, NetworkConfig(config));
  // Without it the estimate counts as further channels of the images.
  EXPECT_EQ(recognise_network(shapes_of(config), {})->channels(), 2);
  EXPECT_NE(message_of([&] {
              recognise_network(shapes_of(kSmall), given("self_condition", "true"));
            }).find("leave it out"),
            std::string::npos);
}

TEST(NetworkConfig, SelfConditioningIsAsTheWeightsAre) {
  for (const NetworkFamily& family : network_families()) {
    NetworkConfig config = family.defaults();
    EXPECT_NO_THROW(config.take_given(given("self_condition", "false"))) << family.name;
    EXPECT_THROW(config.take_given(given("self_condition", "true")), UsageError) << family.name;
  }
}

}  // namespace
}  // namespace ddpm
