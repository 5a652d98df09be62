// forward, info and bench.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ddpm/io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/support/compare.h"
#include "tests/support/fixture.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

// The parameters of a golden file as a bare state dict, and its inputs.
void split_fixture(const Fixture& fixture, const std::string& model, const std::string& inputs) {
  SafetensorsWriter state;
  for (const auto& [name, tensor] : fixture.params()) {
    state.add(name, tensor, state_dict_layout(name, tensor.shape().rank()));
  }
  state.write(model);
  SafetensorsWriter in;
  in.add("x", fixture.at("in.x"), Layout::kImage);
  in.add("t", fixture.at("in.t"));
  if (fixture.has("in.x_self_cond"))
    in.add("x_self_cond", fixture.at("in.x_self_cond"), Layout::kImage);
  in.write(inputs);
}

class Forward : public ::testing::Test {
 protected:
  Outcome forward(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"forward", model_, "--in", in_, "--out", out_};
    words.insert(words.end(), more.begin(), more.end());
    return run_ddpm(words);
  }
  void expect_refused(int status, const std::string& says) {
    const Outcome outcome = forward();
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
  }
  void write_inputs(const Shape& x, int64_t steps) {
    SafetensorsWriter in;
    in.add("x", Tensor::zeros(x), Layout::kImage);
    in.add("t", Tensor::zeros({steps}));
    in.write(in_);
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
  const std::string in_ = folder_ / "in.safetensors";
  const std::string out_ = folder_ / "out.safetensors";
};

TEST_F(Forward, GivesTheTutorialsNumbers) {
  for (const char* name :
       {"unet_tiny", "unet_default_mults", "unet_gray_rect", "unet_learned_variance"}) {
    const Fixture fixture(name);
    split_fixture(fixture, model_, in_);
    const std::string groups =
        std::to_string(Json::parse(fixture.config())["resnet_block_groups"].get<int64_t>());
    for (const char* device : {"cpu", "ref"}) {
      const Outcome outcome = forward({"--groups", groups, "--device", device});
      ASSERT_EQ(outcome.status, 0) << outcome.err;
      const Tensor out = SafetensorsFile::open(out_).read("out", Layout::kImage);
      EXPECT_LE(relative_l2(out, fixture.at("out")), Tolerance::kNetworkOutput)
          << name << " on " << device;
    }
  }
}

TEST_F(Forward, KnowsANetworkOfLucidrainsByItsNames) {
  for (const char* name :
       {"default", "full_attn_mixed", "gray_rect", "init_dim_theta_4ch", "learned_sinusoidal",
        "learned_variance", "random_fourier_edm", "self_cond"}) {
    const Fixture fixture(std::string("lucidrains_") + name);
    split_fixture(fixture, model_, in_);
    const bool other_theta = std::string(name) == "init_dim_theta_4ch";
    const Outcome outcome =
        forward(other_theta ? std::vector<std::string>{"--theta", "500", "--heads", "2"}
                            : std::vector<std::string>{});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const Tensor out = SafetensorsFile::open(out_).read("out", Layout::kImage);
    EXPECT_LE(relative_l2(out, fixture.at("out")), Tolerance::kPeerOutput) << name;
  }
}

TEST_F(Forward, NamesWhatTheNetworkDoesNotTakeOrHave) {
  const Fixture fixture("lucidrains_gray_rect");
  split_fixture(fixture, model_, in_);
  for (const auto& [flag, value, says] :
       {std::tuple{"--groups", "4", "which has no groups"},
        std::tuple{"--heads", "4", "heads is 4"}, std::tuple{"--dim-head", "4", "dim_head is 4"}}) {
    const Outcome outcome = forward({flag, value});
    EXPECT_EQ(outcome.status, 2) << flag;
    EXPECT_THAT(outcome.err, HasSubstr(says));
  }
  SafetensorsWriter in;
  in.add("x", fixture.at("in.x"), Layout::kImage);
  in.add("t", fixture.at("in.t"));
  in.add("x_self_cond", fixture.at("in.x"), Layout::kImage);
  in.write(in_);
  expect_refused(1, "holds x_self_cond, which the network does not take");
}

// A misspelt name would otherwise go unnoticed.
TEST_F(Forward, NamesTensorsThatItIgnores) {
  make_model(model_);
  SafetensorsWriter in;
  in.add("x", Tensor::zeros({1, 8, 8, 3}), Layout::kImage);
  in.add("t", Tensor::zeros({1}));
  in.add("class_label", Tensor::zeros({1}));
  in.write(in_);
  const Outcome outcome = forward({});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("in.safetensors: class_label\n"));
}

TEST_F(Forward, NamesInputsThatDoNotFit) {
  make_model(model_);
  expect_refused(1, "in.safetensors");  // absent
  write_inputs({2, 8, 8, 3}, 3);
  expect_refused(1, "x has 2 images");
  write_inputs({2, 8, 8, 1}, 2);
  expect_refused(1, "has 1 channels; the network takes 3");
  write_inputs({2, 8, 7, 3}, 2);
  expect_refused(2, "7");
  SafetensorsWriter writer;
  writer.add("t", Tensor::zeros({1}));
  writer.write(in_);
  expect_refused(1, "x");
}

TEST(Info, TellsWhatAModelIsAndCosts) {
  const TemporaryFolder folder;
  const std::string model = folder / "model.safetensors";
  make_model(model);
  const auto info = [&](const std::string& batch) {
    const Outcome outcome = run_ddpm({"info", model, "--json", "--batch", batch});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return Json::parse(outcome.out);
  };
  const Json one = info("4"), two = info("8");
  int64_t parameters = 0;
  const SafetensorsFile file = SafetensorsFile::open(model);
  for (const SafetensorsEntry& entry : file.entries()) {
    parameters += entry.shape.elements();
  }
  EXPECT_EQ(one["parameters"], parameters);
  EXPECT_EQ(one["config"]["dim_mults"], Json({1, 2}));
  EXPECT_EQ(one["trained_steps"], 7);
  EXPECT_GT(one["forward_flops"], 1e6);
  EXPECT_EQ(one["forward_flops"], two["forward_flops"]);
  EXPECT_GT(two["training_bytes"], one["training_bytes"]);
  EXPECT_GT(one["training_bytes"], 20 * parameters);

  const Outcome text = run_ddpm({"info", model});
  EXPECT_THAT(text.out, HasSubstr(std::to_string(parameters)));
  EXPECT_THAT(text.out, HasSubstr("memory for training"));
}

TEST(Info, RefusesABatchOfNothing) {
  const TemporaryFolder folder;
  make_model(folder / "model.safetensors");
  EXPECT_EQ(run_ddpm({"info", folder / "model.safetensors", "--batch", "0"}).status, 2);
}

TEST(Bench, EndsWithALineOfJson) {
  const Outcome outcome =
      run_ddpm({"bench", "--dim", "8", "--dim-mults", "1,2", "--size", "8x12", "--batch", "2",
                "--threads", "1", "--repetitions", "1", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const size_t last = outcome.out.rfind('\n', outcome.out.size() - 2);
  const Json line = Json::parse(outcome.out.substr(last == std::string::npos ? 0 : last));
  for (const char* key : {"forward_s", "train_step_s", "forward_flops", "peak_rss_mb"}) {
    EXPECT_GT(line[key], 0) << key;
  }
  EXPECT_EQ(line["threads"], 1);
  EXPECT_TRUE(line["simd"].is_string());
}

TEST(Bench, MeasuresTheNetworkThatIsNamedLast) {
  const auto parameters_of = [](const std::vector<std::string>& network) {
    std::vector<std::string> arguments = {"bench", "--size",        "8", "--batch",
                                          "1",     "--dim-mults",   "1", "--dim",
                                          "8",     "--repetitions", "1", "--json"};
    arguments.insert(arguments.end(), network.begin(), network.end());
    const Outcome outcome = run_ddpm(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return Json::parse(outcome.out)["parameters"].get<int64_t>();
  };
  const int64_t named = parameters_of({"--network", "lucidrains"});
  EXPECT_EQ(named, parameters_of({"--network", "lucidrains", "--mem-kv", "4"}));
  EXPECT_NE(named, parameters_of({"--network", "tutorial"}));
}

TEST(Bench, LayersTellWhereTheTimeGoes) {
  const Outcome outcome = run_ddpm({"bench", "--dim", "8", "--dim-mults", "1,2", "--size", "8",
                                    "--batch", "1", "--repetitions", "2", "--layers", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json line = Json::parse(outcome.out);
  double flops = 0;
  for (const Json& layer : line["forward_layers"]) flops += layer["flops"].get<double>();
  EXPECT_NEAR(flops / line["forward_flops"].get<double>(), 1, 1e-9);
  std::vector<std::string> operations;
  for (const Json& layer : line["train_step_layers"]) operations.push_back(layer["operation"]);
  for (const char* wanted : {"conv2d", "conv2d backward data", "adam"}) {
    EXPECT_EQ(std::count(operations.begin(), operations.end(), wanted) > 0, true) << wanted;
  }
}

TEST(Bench, RefusesANetworkThatCannotBe) {
  EXPECT_EQ(run_ddpm({"bench", "--size", "30"}).status, 2);
  EXPECT_EQ(run_ddpm({"bench", "--dim", "6"}).status, 2);
  EXPECT_EQ(run_ddpm({"bench", "--batch", "0"}).status, 2);
}

}  // namespace
}  // namespace ddpm::test
