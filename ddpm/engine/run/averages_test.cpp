// The averages that a run keeps, and those that are made of them afterwards.
#include <gmock/gmock.h>

#include "ddpm/engine/power_averages.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/engine/weights.h"
#include "tests/support/compare.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RunAverages : public test::Resume {
 protected:
  RunAverages() {
    options_.optimizer.average_halflife = {64, 8};
    options_.optimizer.power_average = "auto";
    options_.run.power_average_every = 2;
    options_.run.sample_every = 0;
  }

  std::string a() const { return folder_ / "a"; }
  void die_at(int64_t step) {
    RunObserver observer;
    observer.stepped = [&](const RunMetrics& now) {
      if (now.step == step) fail("test", "the power went");
    };
    EXPECT_THROW(run("a", false, observer), Error);
  }
  static std::vector<float> first_weights(const Model& model) {
    return parameter_tensors(*model.network)[0].values();
  }
  // The largest difference of any tensor, relative to its norm.
  static double difference(const Model& one, const Model& other) {
    double most = 0;
    const std::vector<Tensor> of = parameter_tensors(*one.network);
    const std::vector<Tensor> wanted = parameter_tensors(*other.network);
    for (size_t i = 0; i < of.size(); ++i)
      most = std::max(most, test::relative_l2(of[i], wanted[i]));
    return most;
  }
};

TEST_F(RunAverages, AreKeptBesideTheModel) {
  run("a");
  EXPECT_THAT(
      list_names(path("averages")),
      ElementsAre("ema_decay.safetensors", "halflife_8.safetensors", "width_0.05", "width_0.1"));
  EXPECT_THAT(list_names(path("averages/width_0.1")),
              ElementsAre("step-00000002.safetensors", "step-00000004.safetensors",
                          "step-00000006.safetensors"));
  EXPECT_EQ(load_model(path("averages/halflife_8.safetensors")).trained_steps, 6);
  EXPECT_NE(first_weights(load_model(path("averages/ema_decay.safetensors"))),
            first_weights(load_model(a())));
  // The average that would be the model without half-lives.
  run_other([](TrainOptions& options) {
    options.optimizer.average_halflife = {};
    options.optimizer.power_average = "none";
  });
  EXPECT_FALSE(fs::exists(folder_ / "other/averages"));
  EXPECT_EQ(first_weights(load_model(folder_ / "other")),
            first_weights(load_model(path("averages/ema_decay.safetensors"))));
}

TEST_F(RunAverages, OfAKilledRunEndAsIfItHadNotBeen) {
  const auto whole = files_of_whole_run();
  for (const int64_t step : {1, 3, 5, 6}) {
    die_at(step);
    expect_to_go_on_to(whole);
    fs::remove_all(a());
  }
}

TEST_F(RunAverages, OfTheNewestCheckpointAreRepaired) {
  run("a");
  const auto whole = files();
  for (const char* name : {"averages/ema_decay.safetensors", "averages/halflife_8.safetensors",
                           "averages/width_0.05/step-00000006.safetensors"}) {
    damage(path(name));
    expect_to_go_on_to(whole);
    fs::remove(path(name));
    expect_to_go_on_to(whole);
  }
  fs::remove_all(path("averages"));
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(list_names(path("averages/width_0.1")), ElementsAre("step-00000006.safetensors"));
}

TEST_F(RunAverages, OfLaterStepsGoWithTheirCheckpoint) {
  run("a");
  damage(path("checkpoints/step-00000006.safetensors"));
  // No average is due between the checkpoint of step 3 and the new end, but that of the end.
  options_.optimizer.steps = 5;
  options_.run.power_average_every = 100;
  EXPECT_TRUE(resume().finished);
  EXPECT_THAT(list_names(path("averages/width_0.1")),
              ElementsAre("step-00000002.safetensors", "step-00000005.safetensors"));
}

TEST_F(RunAverages, CannotBeAddedToARun) {
  options_.optimizer.power_average = "none";
  run("a");
  options_.optimizer.power_average = "auto";
  EXPECT_THAT(message_of([&] { resume(); }), HasSubstr("power_average = \"none\""));
  options_.optimizer.average_halflife = {9};
  EXPECT_THAT(message_of([&] { resume(); }), HasSubstr("average_halflife = [64,8]"));
}

TEST_F(RunAverages, AreNotMixedWithThoseOfAnotherRun) {
  die_at(3);
  options_.optimizer.seed = 9;
  EXPECT_THAT(message_of([&] { run("a"); }), HasSubstr("already holds a run with averages"));
  fs::remove(path("config.json"));
  EXPECT_THAT(message_of([&] { run("a"); }), HasSubstr("whose other files are gone"));
}

class MadeAverages : public RunAverages {
 protected:
  MadeAverages() {
    options_.optimizer.average_halflife = {};
    options_.optimizer.power_average = "0.05,0.075,0.1";
    options_.optimizer.steps = 32;
    options_.optimizer.lr_warmup = 0;
    options_.run.save_every = 32;
    run("a");
  }
  void forget(const std::string& name) { fs::remove_all(path("averages/" + name)); }
  Model tracked(const std::string& name, int64_t step) {
    return load_model(power_average_path(a(), name, step));
  }
};

TEST_F(MadeAverages, AreTheTrackedOnes) {
  for (const int64_t step : {32, 20}) {
    const KeptAverages kept(a(), step);
    EXPECT_EQ(kept.step(), step);
    EXPECT_EQ(kept.count(), 3 * step / 2);
    const Model narrow = kept.make(0.05), wide = kept.make(0.1);
    EXPECT_LT(difference(narrow, tracked("width_0.05", step)), 1e-6);
    EXPECT_LT(difference(wide, tracked("width_0.1", step)), 1e-6);
    EXPECT_EQ(narrow.trained_steps, step);
    EXPECT_GT(difference(narrow, wide), 1e-3);
  }
  EXPECT_EQ(KeptAverages(a()).step(), 32);
}

TEST_F(MadeAverages, OfAWidthThatWasNotKeptAreNearToIt) {
  const Model want = tracked("width_0.075", 32), narrow = tracked("width_0.05", 32),
              wide = tracked("width_0.1", 32);
  forget("width_0.075");
  const KeptAverages kept(a());
  const Model made = kept.make(0.075);
  const double nearest = std::min(difference(narrow, want), difference(wide, want));
  EXPECT_LT(kept.error(0.075), 0.005);
  EXPECT_LT(difference(made, want), 0.05 * nearest);
}

TEST_F(MadeAverages, ThatCannotBeAreRefused) {
  const KeptAverages kept(a());
  EXPECT_THAT(message_of([&] { kept.make(0.3); }), HasSubstr("0.3 but must be from 0.0001"));
  EXPECT_THAT(message_of([&] { kept.make(0.006); }), HasSubstr("the width 0.006 cannot be made"));
  EXPECT_THAT(message_of([&] { KeptAverages(a(), 7); }),
              HasSubstr("kept no averages at step 7; there are those of the steps 2, 4, 6, 8"));
  EXPECT_THAT(message_of([&] { KeptAverages(folder_ / "b"); }), HasSubstr("does not exist"));
  // Too few.
  forget("width_0.05");
  forget("width_0.075");
  EXPECT_THAT(message_of([&] { KeptAverages(a(), 2).make(0.2); }),
              HasSubstr("of the 1 averages that"));
  EXPECT_LT(KeptAverages(a(), 2).error(0.1), 1e-6);
  EXPECT_THAT(message_of([&] { KeptAverages(folder_ / "pictures"); }),
              HasSubstr("keeps no power-function averages"));
  damage(power_average_path(a(), "width_0.1", 4));
  EXPECT_THAT(message_of([&] { KeptAverages(a(), 6); }), HasSubstr("step-00000004"));
}

TEST_F(MadeAverages, AreOfOneRun) {
  run_other([](TrainOptions& options) {
    options.optimizer.seed = 9;
    options.optimizer.steps = 2;
  });
  fs::copy_file(power_average_path(folder_ / "other", "width_0.1", 2),
                power_average_path(a(), "width_0.1", 2), fs::copy_options::overwrite_existing);
  EXPECT_THAT(message_of([&] { KeptAverages{a()}; }), HasSubstr("belong to different runs"));
}

}  // namespace
}  // namespace ddpm
