#include "ddpm/engine/model.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/model_test_support.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/tutorial/unet.h"
#include "ddpm/optim/adam.h"
#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/fixture.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

using test::Fixture;
using test::message_of;
using test::small_config;
using test::TemporaryFolder;
using tutorial::UnetConfig;

// A state dict as PyTorch users would write it: the fixture's parameters without metadata.
std::string write_state_dict(const TemporaryFolder& folder, const Fixture::Tensors& parameters) {
  SafetensorsWriter writer;
  for (const auto& [name, tensor] : parameters) {
    writer.add(name, tensor, state_dict_layout(name, tensor.shape().rank()));
  }
  const std::string path = folder / "state_dict.safetensors";
  writer.write(path);
  return path;
}

TEST(ModelFile, RoundTrip) {
  const TemporaryFolder folder;
  const auto made = make_network(small_config(200).network);
  Network& network = *made;
  network.initialize(5);
  const std::vector<Tensor> weights = parameter_tensors(network);
  save_model(folder / "m.safetensors", small_config(200), network, weights, 321);
  const Model model = load_model(folder / "m.safetensors");
  EXPECT_EQ(model.config.network, small_config(200).network);
  EXPECT_EQ(to_json(model.config), to_json(small_config(200)));
  EXPECT_EQ(model.trained_steps, 321);
  const std::vector<Tensor> loaded = parameter_tensors(*model.network);
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(loaded[i].values(), weights[i].values());
}

TEST(ModelFile, KeepsClassesAndTheirNames) {
  const TemporaryFolder folder;
  ModelConfig config = small_config(20);
  config.network.classes() = 2;
  config.class_names = {"a \"cat\", \xff", "dog"};
  config.class_counts = {3, 0};
  const auto network = make_network(config.network);
  network->initialize(5);
  const std::vector<Tensor> weights = parameter_tensors(*network);
  save_model(folder / "m.safetensors", config, *network, weights, 1);
  const Model model = load_model(folder / "m.safetensors");
  EXPECT_EQ(model.config.class_names, config.class_names);
  EXPECT_EQ(model.config.class_counts, config.class_counts);
  EXPECT_EQ(model.config.class_name(1), "dog");
  EXPECT_EQ(model.config.class_name(-1), "none");
  EXPECT_EQ(model.config.labels_of_classes({"dog", "none", "#0", "a \"cat\", \xff"}),
            (std::vector<int64_t>{1, -1, -1, 0}));

  // PyTorch's embedding has its rows as they are, the last for no class.
  const SafetensorsFile file = SafetensorsFile::open(folder / "m.safetensors");
  EXPECT_EQ(file.find("class_embedding.weight")->shape, (Shape{3, 32}));

  SafetensorsWriter bare;
  add_weights(bare, "", *network, weights);
  bare.write(folder / "bare.safetensors");
  const Model recognised = load_model(folder / "bare.safetensors", Device::kCpu, {{"groups", "2"}});
  EXPECT_EQ(recognised.config.network.classes(), 2);
  EXPECT_EQ(recognised.config.class_name(1), "#1");
  EXPECT_EQ(recognised.config.labels_of_classes({"#1", "dog", "#2"}),
            (std::vector<int64_t>{1, -1, -1}));
  const std::vector<Tensor> loaded = parameter_tensors(*recognised.network);
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(loaded[i].values(), weights[i].values());
}

TEST(ModelFile, NamesAndCountsOfClassesThatCannotBeAreRefused) {
  ModelConfig config = small_config(20);
  config.network.classes() = 2;
  for (const std::vector<std::string>& names : {std::vector<std::string>{"a"},
                                                {"a", "a"},
                                                {"a", ""},
                                                {"a", std::string("\0", 1)},
                                                {"a", std::string(1 << 20, 'b')}}) {
    config.class_names = names;
    EXPECT_THROW(config.check(), UsageError) << names.back().substr(0, 3);
  }
  config.class_names = {};
  for (const std::vector<int64_t>& counts : {std::vector<int64_t>{1}, {1, -1}}) {
    config.class_counts = counts;
    EXPECT_THROW(config.check(), UsageError) << counts.size();
  }
  config.class_counts = {};
  config.network.classes() = 1 << 20;
  EXPECT_THROW(config.check(), UsageError);
}

TEST(ModelFile, ABareStateDictTellsItsNetwork) {
  const TemporaryFolder folder;
  const struct {
    const char* fixture;
    UnetConfig config;
  } cases[] = {{"unet_gray_rect",
                {.dim = 8, .dim_mults = {1, 2, 4}, .channels = 1, .init_dim = 8, .output_dim = 1}},
               {"unet_learned_variance",
                {.dim = 8, .dim_mults = {1, 2}, .init_dim = 8, .output_dim = 6, .groups = 8}}};
  for (const auto& c : cases) {
    const Fixture fixture(c.fixture);
    JsonObject given;
    if (c.config.groups != 4) given.set("groups", json_value::write(c.config.groups));
    const Model model = load_model(write_state_dict(folder, fixture.params()), Device::kCpu, given);
    EXPECT_EQ(model.config.network, NetworkConfig(c.config)) << to_json(model.config);
    EXPECT_EQ(model.config.height, 0);
    const Variable out =
        (*model.network)({.x = Variable(fixture.at("in.x")), .t = fixture.at("in.t")});
    EXPECT_LE(test::relative_l2(out.value(), fixture.at("out")), test::Tolerance::kNetworkOutput);
  }
}

TEST(ModelFile, MissingLeftOverAndMisshapenTensorsAreNamed) {
  const TemporaryFolder folder;
  Fixture::Tensors parameters = Fixture("unet_tiny").params();
  const auto message = [&] {
    return message_of([&] { load_model(write_state_dict(folder, parameters)); });
  };
  const Tensor taken = parameters.at("mid_block1.mlp.1.weight");
  parameters.erase("mid_block1.mlp.1.weight");
  EXPECT_NE(message().find("lacks mid_block1.mlp.1.weight"), std::string::npos) << message();
  parameters["mid_block1.mlp.1.weight"] = taken;
  parameters["something.else"] = Tensor::zeros({2});
  EXPECT_NE(message().find("something.else"), std::string::npos) << message();
  parameters.erase("something.else");
  parameters["mid_block1.mlp.1.bias"] = Tensor::zeros({31});
  EXPECT_NE(message().find("mid_block1.mlp.1.bias is [31] instead of [32]"), std::string::npos)
      << message();
  EXPECT_NE(message_of([&] {
              load_model(write_state_dict(folder, {{"a", Tensor::zeros({1})}}));
            }).find("not a state dict"),
            std::string::npos);
}

TEST(ModelFile, WhatIsNotThereIsSaid) {
  const TemporaryFolder folder;
  EXPECT_NE(message_of([&] { load_model(folder / "absent"); }).find("does not exist"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              load_model(folder.path());
            }).find("neither model.safetensors nor checkpoints"),
            std::string::npos);
}

TEST(ModelFile, HeadsThatDoNotDivideAreRefused) {
  const TemporaryFolder folder;
  const std::string path = write_state_dict(folder, Fixture("unet_tiny").params());
  EXPECT_THROW(load_model(path, Device::kCpu, {{"heads", "3"}}), UsageError);
  EXPECT_EQ(
      load_model(path, Device::kCpu, {{"heads", "2"}}).config.network.get<UnetConfig>()->dim_head,
      64);
  EXPECT_THROW(load_model(path, Device::kCpu, {{"schedule", "\"nonsense\""}}), UsageError);
}

TEST(Checkpoints, AreFoundByStepAndPruned) {
  const TemporaryFolder run;
  make_folder(run / "checkpoints");
  EXPECT_FALSE(newest_checkpoint(run.path()));
  for (int64_t step : {9, 100000000, 10, 20})
    write_file_atomic(checkpoint_path(run.path(), step), "x");
  write_file_atomic(run / "checkpoints/step-x.safetensors", "x");
  write_file_atomic(run / "checkpoints/step-00000030.safetensors.tmp", "x");
  EXPECT_EQ(newest_checkpoint(run.path()), checkpoint_path(run.path(), 100000000));
  prune_checkpoints(run.path(), {.newest = 100000000, .keep = 2});
  EXPECT_FALSE(std::filesystem::exists(checkpoint_path(run.path(), 10)));
  EXPECT_TRUE(std::filesystem::exists(checkpoint_path(run.path(), 20)));
}

TEST(Checkpoints, SavedInBetweenGoOnceALaterOneIsThere) {
  const TemporaryFolder run;
  make_folder(run / "checkpoints");
  const auto steps_after = [&](const std::vector<int64_t>& there, int64_t newest) {
    for (const int64_t step : there) write_file_atomic(checkpoint_path(run.path(), step), "x");
    prune_checkpoints(run.path(), {.newest = newest, .save_every = 10, .keep = 2});
    std::vector<int64_t> steps;
    for (const StepFile& entry : list_checkpoints(run.path())) steps.push_back(entry.step);
    return steps;
  };
  EXPECT_EQ(steps_after({10, 20, 30}, 30), (std::vector<int64_t>{20, 30}));
  EXPECT_EQ(steps_after({37}, 37), (std::vector<int64_t>{30, 37}));
  EXPECT_EQ(steps_after({40}, 40), (std::vector<int64_t>{30, 40}));
}

TEST(Checkpoints, LaterOnesThanTheNewestAreNotTouched) {
  const TemporaryFolder run;
  make_folder(run / "checkpoints");
  for (int64_t step : {10, 20, 99}) write_file_atomic(checkpoint_path(run.path(), step), "x");
  prune_checkpoints(run.path(), {.newest = 20, .save_every = 10, .keep = 1});
  EXPECT_FALSE(std::filesystem::exists(checkpoint_path(run.path(), 10)));
  EXPECT_TRUE(std::filesystem::exists(checkpoint_path(run.path(), 20)));
  EXPECT_TRUE(std::filesystem::exists(checkpoint_path(run.path(), 99)));
}

TEST(Checkpoints, AFolderThatCannotBeListedIsAnError) {
  const TemporaryFolder run;
  EXPECT_TRUE(list_checkpoints(run.path()).empty());
  write_file_atomic(run / "checkpoints", "a file in the way");
  EXPECT_THROW(list_checkpoints(run.path()), SystemError);
}

TEST(Checkpoints, BringBackTheWholeStateAndServeAsModels) {
  const TemporaryFolder run;
  const auto made = make_network(small_config(200).network),
             another = make_network(small_config(200).network);
  Network &network = *made, &other = *another;
  network.initialize(1);
  const auto adam_of = [](Network& unet) {
    std::vector<Variable> variables;
    for (const NamedParameter& named : unet.parameters())
      variables.push_back(named.parameter->variable);
    return Adam(variables, {.ema_decay = 0.9});
  };
  Adam adam = adam_of(network), restored = adam_of(other);
  for (const NamedParameter& named : network.parameters()) {
    named.parameter->variable.slot()->accumulate(
        Tensor::full(named.parameter->variable.shape(), 0.5f));
  }
  adam.step(0);
  make_folder(run / "checkpoints");
  save_checkpoint(checkpoint_path(run.path(), 1), small_config(200), network, adam);
  load_checkpoint(checkpoint_path(run.path(), 1), other, restored);
  EXPECT_EQ(restored.steps(), 1);
  for (size_t i = 0; i < adam.ema().size(); ++i) {
    EXPECT_EQ(restored.ema()[i].values(), adam.ema()[i].values());
    EXPECT_EQ(restored.moment1()[i].values(), adam.moment1()[i].values());
    EXPECT_EQ(restored.moment2()[i].values(), adam.moment2()[i].values());
    EXPECT_EQ(parameter_tensors(other)[i].values(), parameter_tensors(network)[i].values());
  }
  const Model model = load_model(run.path());
  EXPECT_EQ(parameter_tensors(*model.network)[0].values(), adam.ema()[0].values());
  save_model(run / "model.safetensors", small_config(200), network, adam.ema(), 1);
  EXPECT_THROW(load_checkpoint(run / "model.safetensors", other, restored), Error);
}

TEST(FindModelFile, AFailureToLookIsNotAnAbsentFile) {
  EXPECT_THROW(find_model_file(std::string(300, 'x')), SystemError);
}

TEST(Checkpoints, FilesOfOtherNamesAreNotTheRuns) {
  const test::TemporaryFolder run;
  make_folder(run / "checkpoints");
  for (const char* name : {"step-00000002", "step--1", "step-", "step-3x"})
    write_file_atomic(run / ("checkpoints/" + std::string(name) + ".safetensors"), "");
  prune_checkpoints(run.path(), {.newest = 2, .save_every = 1, .keep = 1});
  EXPECT_EQ(list_checkpoints(run.path()).size(), 1u);
  EXPECT_EQ(list_names(run / "checkpoints").size(), 4u);
}

}  // namespace
}  // namespace ddpm
