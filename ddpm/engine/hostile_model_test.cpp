// Model files with impossible or misleading numbers. Each must give an Error that says so, without
// taking much time or memory.
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/model_test_support.h"
#include "ddpm/engine/weights.h"
#include "ddpm/tensor/allocator.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

using test::small_config;
using test::TemporaryFolder;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return std::string("usage: ") + error.what();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Writes a valid model with the given metadata.
std::string write_model(const TemporaryFolder& folder, const std::string& config,
                        const std::string& step = "5",
                        const std::function<void(std::vector<Tensor>&)>& change = {}) {
  const auto made = make_network(small_config(20).network);
  Network& network = *made;
  network.initialize(5);
  std::vector<Tensor> weights = parameter_tensors(network);
  if (change) change(weights);
  SafetensorsWriter writer;
  writer.set_metadata(kKindKey, "model");
  writer.set_metadata(kStepKey, step);
  writer.set_metadata(kConfigKey, config);
  add_weights(writer, "", network, weights);
  const std::string path = folder / "m.safetensors";
  writer.write(path);
  return path;
}

std::string config_with(const std::string& field, const std::string& json) {
  JsonObject object = JsonObject::parse(to_json(small_config(20)), "test");
  object.set(field, json);
  return object.dump(-1);
}

class HostileNumber : public testing::TestWithParam<const char*> {};

TEST_P(HostileNumber, IsAnErrorInEveryFieldOfTheConfiguration) {
  const TemporaryFolder folder;
  for (const char* field : {"dim", "channels", "groups", "attention_heads", "attention_dim_head",
                            "height", "width", "timesteps", "init_dim", "output_dim"}) {
    if (std::string(GetParam()) == "0" &&
        (std::string(field) == "init_dim" || std::string(field) == "output_dim"))
      // 0 is allowed: it means the same as dim, or as channels.
      continue;
    const std::string path = write_model(folder, config_with(field, GetParam()));
    Model model;
    const std::string message = message_of([&] {
      model = load_model(path);
      // A file may leave the size unknown, but then sampling needs a size.
      generate(*model.network, model.config, {.count = 1, .sampling = {.steps = 1}});
    });
    EXPECT_NE(message, "") << field;
    if (model.network == nullptr) {
      EXPECT_TRUE(message.starts_with("[")) << field << ": " << message;
    }
  }
  for (const std::string& list :
       {std::string("[") + GetParam() + "]", std::string("[1, ") + GetParam() + "]"}) {
    const std::string path = write_model(folder, config_with("dim_mults", list));
    EXPECT_TRUE(message_of([&] { load_model(path); }).starts_with("[")) << list;
  }
}

INSTANTIATE_TEST_SUITE_P(All, HostileNumber,
                         testing::Values("0", "-1", "-9223372036854775808", "2147483648",
                                         "4294967296", "4611686018427387904", "9223372036854775807",
                                         "9223372036854775808", "18446744073709551616", "1e300",
                                         "\"8\"", "[8]", "null"));

TEST(HostileModel, WhatIsWrongIsNamed) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& field, const std::string& json) {
    const std::string path = write_model(folder, config_with(field, json));
    return message_of([&] { load_model(path); });
  };
  EXPECT_TRUE(contains(message("height", "-4"), "height is -4")) << message("height", "-4");
  EXPECT_TRUE(contains(message("height", "5"), "height 5 is not divisible by 2"));
  EXPECT_TRUE(contains(message("schedule", "\"no\""), "there is no schedule 'no'"));
  EXPECT_TRUE(contains(message("timesteps", "1000001"), "between 1 and 1000000"));
  EXPECT_TRUE(contains(message("dim_mults", "[]"), "dim-mults has 0 elements"));
  EXPECT_TRUE(
      contains(message("weight_standardization_eps", "-1"), "must be at least 0 and below 1"));
  EXPECT_TRUE(contains(message("dim", "16"), "instead of"));
}

TEST(HostileModel, AStepThatCannotBeIsAnError) {
  const TemporaryFolder folder;
  for (const char* step : {"-1", "4611686018427387904", "9223372036854775808", "1.5", "x", ""}) {
    const std::string path = write_model(folder, to_json(small_config(20)), step);
    const std::string message = message_of([&] { load_model(path); });
    EXPECT_TRUE(contains(message, "ddpm.step")) << step << ": " << message;
  }
}

TEST(HostileModel, DeepMetadataIsRefused) {
  const TemporaryFolder folder;
  const std::string deep = std::string(65000, '[') + std::string(65000, ']');
  for (const std::string& config :
       {deep, config_with("dim_mults", "1") + deep, std::string("{\"dim\": ") + deep + "}"}) {
    const std::string path = write_model(folder, config);
    EXPECT_NE(message_of([&] { load_model(path); }), "");
  }
  const std::string path = write_model(folder, to_json(small_config(20)), deep);
  EXPECT_NE(message_of([&] { load_model(path); }), "");
}

// The file describes a network of terabytes, but its tensors have only a few bytes.
TEST(HostileModel, ShapesAreComparedBeforeMemoryIsTaken) {
  const TemporaryFolder folder;
  const AllocatorStats before = allocator_stats();
  for (const char* dim : {"16384", "524288"}) {
    const std::string path = write_model(folder, config_with("dim", dim));
    EXPECT_TRUE(contains(message_of([&] { load_model(path); }), "does not fit its configuration"));
  }
  const std::string levels =
      "[1048576,1048576,1048576,1048576,1048576,1048576,1048576,1048576,"
      "1048576,1048576,1048576,1048576,1048576,1048576,1048576,1048576]";
  const std::string path = write_model(folder, config_with("dim_mults", levels));
  EXPECT_NE(message_of([&] { load_model(path); }), "");
  EXPECT_LT(allocator_stats().bytes_reserved, before.bytes_reserved + (int64_t{64} << 20));
}

TEST(HostileModel, ABareStateDictOfImpossibleShapesIsAnError) {
  const TemporaryFolder folder;
  const auto write = [&](std::initializer_list<std::pair<const char*, Shape>> tensors) {
    SafetensorsWriter writer;
    for (const auto& [name, shape] : tensors) writer.add(name, Tensor::zeros(shape));
    const std::string path = folder / "bare.safetensors";
    writer.write(path);
    return path;
  };
  constexpr int64_t kHuge = int64_t{1} << 40;
  const auto message = [&](const Shape& time, const Shape& init, const Shape& last,
                           const Shape& qkv) {
    const std::string path = write({{"time_mlp.1.weight", time},
                                    {"init_conv.weight", init},
                                    {"final_conv.weight", {0, 8, 1, 1}},
                                    {"down_layers.0.3.weight", last},
                                    {"mid_attention.func.func.input_to_qkv.weight", qkv}});
    return message_of([&] { load_model(path); });
  };
  const Shape init{8, 3, 1, 1}, last{8, 8, 3, 3}, qkv{384, 8, 1, 1};
  EXPECT_NE(message({0, 8}, {0, kHuge, 1, 1}, last, qkv), "");
  EXPECT_NE(message({0, kHuge}, init, {kHuge, 0, 3, 3}, qkv), "");
  EXPECT_NE(message({8, 0}, init, last, qkv), "");
  EXPECT_NE(message({0, 2}, init, {int64_t{1} << 20, 0, 3, 3}, qkv), "");
  EXPECT_NE(message({0, 8}, init, last, {0, 8, 1, 1}), "");
  EXPECT_NE(message({0, 8}, init, last, {kHuge, 0, 1, 1}), "");
  EXPECT_NE(message({0, 8}, init, last, qkv), "");
}

TEST(HostileModel, AValueThatIsNoNumberIsNamed) {
  const TemporaryFolder folder;
  const struct {
    float value;
    const char* text;
  } cases[] = {{std::numeric_limits<float>::quiet_NaN(), "holds nan"},
               {std::numeric_limits<float>::infinity(), "holds inf"},
               {-std::numeric_limits<float>::infinity(), "holds -inf"}};
  for (const auto& [value, text] : cases) {
    for (const bool first : {true, false}) {
      const std::string path = write_model(folder, to_json(small_config(20)), "5",
                                           [&, number = value](std::vector<Tensor>& weights) {
                                             Tensor& tensor =
                                                 first ? weights.front() : weights.back();
                                             tensor.f32()[tensor.elements() - 1] = number;
                                           });
      for (const Device device : {Device::kCpu, Device::kDry}) {
        const std::string message = message_of([&] { load_model(path, device); });
        EXPECT_TRUE(contains(message, text)) << message;
        EXPECT_TRUE(contains(message, first ? "init_conv.weight" : "final_conv.bias")) << message;
        EXPECT_TRUE(contains(message, path)) << message;
      }
    }
  }
}

TEST(HostileModel, PicturesThatAreNoNumbersAreAnError) {
  const auto made = make_network(small_config(20).network);
  Network& network = *made;
  network.initialize(5);
  for (const NamedParameter& named : network.parameters()) {
    if (named.path != "final_conv.bias") continue;
    named.parameter->variable.value().f32()[0] = std::numeric_limits<float>::quiet_NaN();
  }
  for (const char* sampler : {"ddim", "ddpm"}) {
    const std::string message = message_of([&] {
      generate(network, small_config(20),
               {.count = 1, .sampling = {.sampler = sampler, .steps = 2}});
    });
    EXPECT_TRUE(contains(message, "nan")) << message;
  }
}

TEST(HostileRequest, NumbersOutOfRangeAreUsageErrors) {
  const auto made = make_network(small_config(20).network);
  Network& network = *made;
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const GenerateOptions mistakes[] = {{.count = 72057594037927936},
                                      {.count = kHuge},
                                      {.count = -1},
                                      {.sampling = {.steps = kHuge}},
                                      {.sampling = {.steps = -1}},
                                      {.batch = kHuge},
                                      {.batch = 0},
                                      {.first = kHuge},
                                      {.first = -1},
                                      {.height = kHuge, .width = 4},
                                      {.height = 1 << 20, .width = 4},
                                      {.count = 1'000'000, .height = 16384, .width = 16384}};
  for (const GenerateOptions& options : mistakes) {
    EXPECT_TRUE(
        message_of([&] { generate(network, small_config(20), options); }).starts_with("usage: "))
        << options.count << ' ' << options.sampling.steps << ' ' << options.batch << ' '
        << options.height;
  }
}

}  // namespace
}  // namespace ddpm
