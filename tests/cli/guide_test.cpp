// Snapshots, RUN@STEP, --weights, --guide and --guidance-interval through the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "ddpm/base/file.h"
#include "ddpm/base/json.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Guide : public ::testing::Test {
 protected:
  // A run of four steps with snapshots of steps 2 and 4, and a checkpoint of step 4.
  void train() const {
    make_pictures(folder_ / "pictures", 3);
    const Outcome outcome = run_ddpm(small_training(
        folder_ / "pictures", run_,
        {"--steps", "4", "--batch", "2", "--sample-every", "0", "--snapshot-every", "2"}));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("saved " + run_ + "/snapshots/step-00000002.safetensors"));
  }
  // A network of random weights, and another of another size.
  void make_models() const {
    make_model(model_);
    ModelConfig config{.network = tutorial::UnetConfig{.dim = 16, .dim_mults = {1, 2}},
                       .height = 8,
                       .width = 8,
                       .process = {.timesteps = 100}};
    change_(config);
    const auto network = make_network(config.network);
    network->initialize(2);
    save_model(guide_, config, *network, parameter_tensors(*network), 7);
  }
  Outcome sample(const std::string& model, std::vector<std::string> flags) const {
    flags.insert(flags.begin(), {"sample", model, "--steps", "3", "--scale", "1", "--n", "2",
                                 "--out", folder_ / "grid.png"});
    return run_ddpm(flags);
  }
  // The pixels. The file also says how they were made.
  std::string picture(const std::string& model, const std::vector<std::string>& flags) const {
    const Outcome outcome = sample(model, flags);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    if (outcome.status != 0) return "";
    const Tensor pixels = decode_image(read_file(folder_ / "grid.png"), {});
    return {reinterpret_cast<const char*>(pixels.u8()), static_cast<size_t>(pixels.bytes())};
  }
  void expect_refused(const std::vector<std::string>& flags, const std::string& says) const {
    const Outcome outcome = sample(model_, flags);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "grid.png"));
  }

  TemporaryFolder folder_;
  const std::string run_ = folder_ / "run";
  const std::string model_ = folder_ / "model.safetensors", guide_ = folder_ / "guide.safetensors";
  std::function<void(ModelConfig&)> change_ = [](ModelConfig&) {};
};

TEST_F(Guide, EveryModelMayBeOfAStep) {
  train();
  const std::string early = picture(run_ + "@2", {}), late = picture(run_ + "@4", {});
  EXPECT_NE(early, late);
  EXPECT_EQ(late, picture(run_, {}));
  EXPECT_EQ(early, picture(run_ + "/snapshots/step-00000002.safetensors", {}));
  const Outcome info = run_ddpm({"info", run_ + "@2"});
  EXPECT_THAT(info.out, HasSubstr("trained steps               2\n"));
  const std::string lists = run_ddpm({"info", run_}).out;
  EXPECT_THAT(lists, HasSubstr("snapshots of steps          2, 4\n"));
  EXPECT_THAT(lists, HasSubstr("checkpoints of steps        4\n"));
  const JsonObject json = JsonObject::parse(run_ddpm({"info", run_, "--json"}).out, "info");
  ASSERT_NE(json.find("snapshots"), nullptr);
  EXPECT_EQ(*json.find("snapshots"), "[2,4]");
  EXPECT_EQ(*json.find("checkpoints"), "[4]");
  const Outcome unknown = sample(run_ + "@3", {});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err,
              HasSubstr("has no weights of step 3; there are those of the steps 2, 4"));
}

TEST_F(Guide, WeightsMayBeRaw) {
  train();
  EXPECT_NE(picture(run_, {"--weights", "raw"}), picture(run_, {}));
  EXPECT_EQ(picture(run_, {"--weights", "average"}), picture(run_, {}));
  EXPECT_EQ(picture(run_, {"--weights", "raw"}), picture(run_ + "@4", {"--weights", "raw"}));
  const Outcome snapshot = sample(run_ + "@2", {"--weights", "raw"});
  EXPECT_EQ(snapshot.status, 2);
  EXPECT_THAT(snapshot.err, HasSubstr("there are those of the steps 4"));
  const Outcome model = sample(run_ + "/model.safetensors", {"--weights", "raw"});
  EXPECT_EQ(model.status, 2);
  EXPECT_THAT(model.err, HasSubstr("holds one set of weights"));
  EXPECT_THAT(sample(run_, {"--weights", "mean"}).err, HasSubstr("choose average or raw"));
}

TEST_F(Guide, ChangesThePictures) {
  make_models();
  const std::string plain = picture(model_, {}), guided = picture(model_, {"--guide", guide_});
  EXPECT_NE(guided, plain);
  EXPECT_EQ(picture(model_, {"--guide", guide_, "--guidance", "1.5", "--batch", "1"}), guided);
  EXPECT_NE(picture(model_, {"--guide", guide_, "--guidance", "2"}), guided);
  EXPECT_NE(picture(model_, {"--guide", guide_, "--guidance-rescale", "0.7"}), guided);
  EXPECT_NE(picture(model_, {"--guide", guide_, "--guidance-interval", "1,inf"}), guided);
  EXPECT_EQ(picture(model_, {"--guide", guide_, "--guidance-interval", "0,inf"}), guided);
  EXPECT_EQ(picture(model_, {"--guide", guide_, "--guidance", "1"}), plain);
  EXPECT_EQ(picture(model_, {"--guide", guide_, "--guidance", "0"}), picture(guide_, {}));
}

TEST_F(Guide, MayBeASnapshotOfTheRun) {
  train();
  EXPECT_NE(picture(run_, {"--guide", run_ + "@2"}), picture(run_, {}));
}

TEST_F(Guide, ThatDoesNotFitIsRefused) {
  change_ = [](ModelConfig& config) { config.network.channels() = 1; };
  make_models();
  expect_refused({"--guide", guide_},
                 "has channels: 1, but the model 3; a snapshot of the model's");
  change_ = [](ModelConfig& config) { config.process.objective = "v"; };
  make_models();
  expect_refused({"--guide", guide_}, "has the objective v, but the model eps");
  const Outcome absent = sample(model_, {"--guide", folder_ / "absent"});
  EXPECT_EQ(absent.status, 1);
  EXPECT_THAT(absent.err, HasSubstr("does not exist"));
  expect_refused({"--guidance-interval", "3,1", "--guide", guide_},
                 "guidance-interval is '3,1'; it must be LO,HI with 0 <= LO < HI");
  expect_refused({"--guidance-interval", "1,3"}, "or guide it by an earlier or smaller model");
}

TEST_F(Guide, WhatChangesNothingIsTold) {
  make_models();
  EXPECT_THAT(sample(model_, {"--guide", guide_}).err, Not(HasSubstr("warning")));
  EXPECT_THAT(sample(model_, {"--guide", guide_, "--guidance", "1"}).err,
              HasSubstr("warning: --guide changes nothing with --guidance 1; 1.5 is usual"));
  EXPECT_THAT(sample(model_, {"--guide", model_}).err, HasSubstr("--guide is the model itself"));
  change_ = [](ModelConfig& config) { config.network.classes() = 2; };
  make_models();
  EXPECT_THAT(sample(guide_, {"--class", "none", "--guidance", "2"}).err,
              HasSubstr("warning: --guidance changes nothing for pictures of no class"));
  EXPECT_THAT(sample(guide_, {"--class", "#1", "--guidance-rescale", "0.7"}).err,
              HasSubstr("warning: --guidance-rescale changes nothing with --guidance 1"));
  EXPECT_THAT(sample(guide_, {"--guidance", "0", "--guidance-rescale", "0.7"}).err,
              HasSubstr("warning: --guidance-rescale changes nothing with --guidance 0"));
  EXPECT_THAT(sample(guide_, {"--guidance-interval", "0.3,3"}).err,
              HasSubstr("warning: --guidance-interval changes nothing with --guidance 1"));
  EXPECT_THAT(
      sample(guide_, {"--guidance", "2", "--guidance-interval", "0.3,3", "--guidance-rescale", "1"})
          .err,
      Not(HasSubstr("warning")));
}

TEST_F(Guide, TrainingTellsOfFlagsThatChangeNothing) {
  make_pictures(folder_ / "pictures", 3);
  const auto said = [&](const std::vector<std::string>& flags) {
    std::filesystem::remove_all(run_);
    std::vector<std::string> all = {"--steps", "1", "--batch", "1", "--sample-every", "0"};
    all.insert(all.end(), flags.begin(), flags.end());
    const Outcome outcome = run_ddpm(small_training(folder_ / "pictures", run_, all));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(said({"--label-dropout", "0.2"}),
              HasSubstr("warning: --label-dropout changes nothing without classes"));
  EXPECT_THAT(said({"--objective", "flow", "--schedule", "cosine"}),
              HasSubstr("warning: --schedule changes nothing with the objective flow"));
  EXPECT_THAT(said({"--objective", "v", "--schedule", "cosine"}), Not(HasSubstr("warning")));
}

}  // namespace
}  // namespace ddpm::test
