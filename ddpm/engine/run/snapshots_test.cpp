// Snapshots: averaged weights that a run keeps, and RUN@STEP, which names them.
#include <gmock/gmock.h>

#include "ddpm/engine/model.h"
#include "ddpm/engine/run/run_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using ::testing::HasSubstr;

class Snapshots : public test::Resume {
 protected:
  Snapshots() {
    options_.run.snapshot_every = 2;
    options_.run.keep_checkpoints = 1;
  }

  std::string snapshot(int64_t step) const { return snapshot_path(folder_ / "a", step); }
  // Fails at the end of this step, as if the process had been killed.
  void die_at(int64_t step) {
    RunObserver observer;
    observer.stepped = [&](const RunMetrics& now) {
      if (now.step == step) fail("test", "the power went");
    };
    EXPECT_THROW(run("a", false, observer), Error);
  }
};

TEST_F(Snapshots, OfEveryNthStepAreKept) {
  run("a");
  EXPECT_EQ(list_names(path("snapshots")),
            (std::vector<std::string>{"step-00000002.safetensors", "step-00000004.safetensors",
                                      "step-00000006.safetensors"}));
  EXPECT_EQ(list_names(path("checkpoints")).size(), 1u);
  EXPECT_EQ(load_model(snapshot(4)).trained_steps, 4);
  EXPECT_EQ(read_file(snapshot(6)), read_file(path("model.safetensors")));
  EXPECT_NE(read_file(snapshot(4)), read_file(snapshot(6)));
}

TEST_F(Snapshots, AreTheAverageAfterTheirStep) {
  run("a");
  run_other([](TrainOptions& options) {
    options.optimizer.steps = 4;
    options.run.snapshot_every = 0;
  });
  EXPECT_FALSE(fs::exists(folder_ / "other/snapshots"));
  const Model snapshot = load_model(folder_ / "a@4"), run = load_model(folder_ / "other");
  const auto of = snapshot.network->parameters(), wanted = run.network->parameters();
  for (size_t i = 0; i < of.size(); ++i) {
    EXPECT_EQ(of[i].parameter->variable.value().values(),
              wanted[i].parameter->variable.value().values());
  }
}

TEST_F(Snapshots, OfAKilledRunEndAsIfItHadNotBeen) {
  const auto whole = files_of_whole_run();
  for (const int64_t step : {3, 5, 6}) {
    die_at(step);
    expect_to_go_on_to(whole);
    fs::remove_all(folder_ / "a");
  }
}

TEST_F(Snapshots, OfTheNewestCheckpointAreRepaired) {
  run("a");
  const auto whole = files();
  fs::remove(snapshot(6));
  expect_to_go_on_to(whole);
  damage(snapshot(6));
  expect_to_go_on_to(whole);
  fs::copy_file(snapshot(4), snapshot(6), fs::copy_options::overwrite_existing);
  expect_to_go_on_to(whole);
  // Nothing can make this one again.
  fs::remove(snapshot(4));
  EXPECT_TRUE(resume().finished);
  EXPECT_FALSE(fs::exists(snapshot(4)));
}

TEST_F(Snapshots, MayBeginInAResumedRun) {
  options_.run.snapshot_every = 0;
  run("a");
  EXPECT_FALSE(fs::exists(path("snapshots")));
  options_.run.snapshot_every = 4;
  options_.optimizer.steps = 8;
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(list_names(path("snapshots")), (std::vector<std::string>{"step-00000008.safetensors"}));
}

TEST_F(Snapshots, AreNotMixedWithThoseOfAnotherRun) {
  die_at(3);
  options_.optimizer.seed = 9;
  EXPECT_THAT(message_of([&] { run("a"); }), HasSubstr("already holds a run with snapshots"));
  fs::remove(path("config.json"));
  EXPECT_THAT(message_of([&] { run("a"); }), HasSubstr("whose other files are gone"));
}

TEST_F(Snapshots, AreNamedByTheRunAndTheStep) {
  options_.run.snapshot_every = 5;
  options_.run.keep_checkpoints = 2;
  run("a");
  const std::string a = folder_ / "a";
  EXPECT_EQ(find_model_file(a + "@5"), snapshot(5));
  EXPECT_EQ(find_model_file(a + "@3"), checkpoint_path(a, 3));
  EXPECT_EQ(find_model_file(a + "/@3"), checkpoint_path(a + "/", 3));
  EXPECT_EQ(load_model(a + "@3").trained_steps, 3);
  fs::remove_all(path("checkpoints"));
  EXPECT_EQ(find_model_file(a + "@6"), path("model.safetensors"));
  EXPECT_THAT(message_of([&] { find_model_file(a + "@4"); }),
              HasSubstr("has no weights of step 4; there are those of the steps 5, 6."));
  EXPECT_THROW(find_model_file(a + "@4"), UsageError);
  EXPECT_THROW(find_model_file(a + "@-4"), UsageError);
  EXPECT_THROW(find_model_file(a + "@"), UsageError);
  EXPECT_THROW(find_model_file(a + "@99999999999999999999"), UsageError);
  EXPECT_THROW(find_model_file(path("model.safetensors@6")), UsageError);
  EXPECT_THAT(message_of([&] { find_model_file(folder_ / "b@4"); }), HasSubstr("does not exist"));
  // A path that exists is meant as it is.
  fs::rename(folder_ / "a", folder_ / "a@4");
  EXPECT_EQ(find_model_file(folder_ / "a@4"), folder_ / "a@4/model.safetensors");
  EXPECT_EQ(find_model_file(folder_ / "a@4@5"), snapshot_path(folder_ / "a@4", 5));
}

TEST_F(Snapshots, AnUnknownStepIsAnsweredWithTheNearest) {
  make_folder(folder_ / "a/snapshots");
  for (int64_t step = 10; step <= 100; step += 10) write_file_atomic(snapshot(step), "");
  EXPECT_THAT(message_of([&] { find_model_file(folder_ / "a@73"); }),
              HasSubstr("the steps 50, 60, 70, 80, 90, 100 (of 10)."));
}

TEST_F(Snapshots, RawWeightsAreThoseOfCheckpoints) {
  run("a");
  const std::string a = folder_ / "a";
  const auto first = [](const Model& model) {
    return model.network->parameters()[0].parameter->variable.value().values();
  };
  const Model raw = load_model(a, Device::kCpu, {}, WeightKind::kRaw), average = load_model(a);
  EXPECT_EQ(raw.path, checkpoint_path(a, 6));
  EXPECT_EQ(raw.trained_steps, 6);
  EXPECT_NE(first(raw), first(average));
  const Model file = load_model(raw.path, Device::kCpu, {}, WeightKind::kRaw);
  EXPECT_EQ(first(file), first(raw));
  EXPECT_EQ(first(load_model(raw.path)), first(average));
  EXPECT_EQ(first(load_model(a + "@6", Device::kCpu, {}, WeightKind::kRaw)), first(raw));
  const auto refused = [](const std::string& path) {
    return message_of([&] {
      EXPECT_THROW(load_model(path, Device::kCpu, {}, WeightKind::kRaw), UsageError);
      load_model(path, Device::kCpu, {}, WeightKind::kRaw);
    });
  };
  EXPECT_THAT(refused(a + "@4"), HasSubstr("only checkpoints hold raw weights; there are those of "
                                           "the steps 6"));
  EXPECT_THAT(refused(snapshot(4)), HasSubstr("holds one set of weights"));
  fs::remove_all(path("checkpoints"));
  EXPECT_THAT(refused(a), HasSubstr("only they hold raw weights"));
}

}  // namespace
}  // namespace ddpm
