#include "ddpm/engine/run/guard.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>

#include "ddpm/data/dataset.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/engine/trainer.h"

namespace ddpm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Guard, DecidesAfterReadingAsBefore) {
  const test::TemporaryFolder folder;
  Guard guard(folder.path());
  guard.skipped(7, "the loss became nan", {"a.png", "b.png"});
  guard.skipped(8, "the loss became inf", {"c.png", "d.png"});
  guard.returned(9, 7);
  guard.skipped(10, "the loss became inf", {"c.png", "d.png"});
  guard.returned(12, 9);
  write_file_atomic(folder / "guard.jsonl", read_file(folder / "guard.jsonl") + "{\"step\": 1");
  for (const Guard& each : {guard, Guard(folder.path())}) {
    EXPECT_EQ(each.why(7), "the loss became nan");
    EXPECT_FALSE(each.skips(8));
    EXPECT_FALSE(each.skips(10));
    EXPECT_EQ(each.in_a_row(8), 1);
    EXPECT_EQ(each.in_a_row(7), 0);
    EXPECT_EQ(each.rate(7), 1);
    EXPECT_EQ(each.rate(8), 0.5);
    EXPECT_EQ(each.rate(9), 0.5);
    EXPECT_EQ(each.rate(10), 0.25);
    EXPECT_EQ(each.returns_to(7), 1);
    EXPECT_EQ(each.returns_to(8), 0);
  }
  Guard(folder.path()).skipped(11, "the loss became nan", {});
  EXPECT_TRUE(Guard(folder.path()).skips(11));
}

class GuardedRun : public test::RunTest {
 protected:
  GuardedRun() {
    options_.data.channels = "1";
    options_.optimizer.steps = 9;
    options_.run.save_every = 3;
    options_.run.sample_every = 0;
  }

  // Does at most `most` steps of a run, in which the steps with these numbers, counted by calls and
  // not by the run, have faulty pictures. Returns the error, if one ended it.
  std::string train(const std::string& name, const std::set<int>& faulty, int most = 100) {
    int calls = 0;
    const auto pictures = std::make_shared<test::ProgramPictures>(
        [&](const BatchPlan&) { return !faulty.contains(++calls); });
    RunObserver observer;
    observer.warned = [this](const std::string& text) { warnings_ += text + "\n"; };
    return test::message_of([&] {
      const std::string directory = folder_ / name;
      const auto run = exists(directory)
                           ? Run::resume(directory, pictures, {.options = options_}, observer)
                           : Run::create(directory, options_, pictures, observer);
      for (int done = 0; !run->done(); ++done) {
        // As if it was killed.
        if (done == most) return;
        run->step();
      }
      run->finish();
    });
  }

  std::string log(const std::string& name) { return read_file(folder_ / (name + "/guard.jsonl")); }

  std::string warnings_;
};

TEST_F(GuardedRun, ABadStepIsSkippedAndItsPicturesAreNamed) {
  EXPECT_EQ(train("a", {5}), "");
  EXPECT_THAT(log("a"), HasSubstr(R"({"step":5,"event":"skipped","why":"the pictures contain nan",)"
                                  R"("pictures":["picture )"));
  EXPECT_THAT(warnings_, HasSubstr("step 5 was skipped, because the pictures contain nan"));
  EXPECT_EQ(metrics("a").size(), 8);
  EXPECT_EQ(train("b", {}), "");
  EXPECT_FALSE(exists(folder_ / "b/guard.jsonl"));
  EXPECT_NE(weights("a"), weights("b"));
}

TEST_F(GuardedRun, PicturesAreNumberedAmongAll) {
  options_.data.validation = 0.5;
  BatchPlan faulty;
  const auto pictures = std::make_shared<test::ProgramPictures>([&](const BatchPlan& plan) {
    if (plan.indices.size() == 2) faulty = plan;
    return plan.indices.size() != 2;
  });
  const auto run = Run::create(folder_ / "a", options_, pictures);
  ASSERT_LT(run->training_pictures(), 6);
  EXPECT_TRUE(run->step().skipped);
  EXPECT_THAT(log("a"), HasSubstr(fmt::format(R"("pictures":["picture {}","picture {}"])",
                                              faulty.indices[0], faulty.indices[1])));
}

// A fault may not occur again, such as one of the memory. The resumed run must still skip the step.
TEST_F(GuardedRun, AResumedRunSkipsTheSameSteps) {
  EXPECT_EQ(train("a", {5, 8}), "");
  EXPECT_EQ(train("b", {5}, 5), "");
  EXPECT_EQ(train("b", {4}), "");
  EXPECT_EQ(weights("b"), weights("a"));
  EXPECT_EQ(log("b"), log("a"));
}

TEST_F(GuardedRun, ThreeBadStepsInARowReturnToTheCheckpointWithHalfTheRate) {
  EXPECT_EQ(train("a", {5, 6, 7}), "");
  EXPECT_THAT(log("a"), HasSubstr(R"({"step":7,"event":"returned","to":3,"rate":0.5})"));
  EXPECT_THAT(warnings_, HasSubstr("the run returns to step 3"));
  // Killed after the return, and before the next save.
  EXPECT_EQ(train("b", {5, 6, 7}, 8), "");
  EXPECT_EQ(train("b", {}), "");
  EXPECT_EQ(weights("b"), weights("a"));
  EXPECT_EQ(metrics("a").size(), 9);
  EXPECT_EQ(metrics("b").size(), 9);
}

TEST_F(GuardedRun, WithoutACheckpointItReturnsToTheStart) {
  EXPECT_EQ(train("a", {1, 2, 3}), "");
  options_.optimizer.lr /= 2;
  EXPECT_EQ(train("b", {}), "");
  EXPECT_EQ(weights("a"), weights("b"));
}

TEST_F(GuardedRun, StopsWhenReturningDoesNotHelp) {
  std::set<int> all;
  for (int call = 5; call < 100; ++call) all.insert(call);
  const std::string message = train("a", all);
  EXPECT_THAT(message, HasSubstr("3 returns to step 3"));
  EXPECT_THAT(message, HasSubstr("--clip-norm"));
  // Nothing is computed again, and the reason is the same.
  EXPECT_EQ(train("a", {}), message);
  std::filesystem::remove(folder_ / "a/guard.jsonl");
  EXPECT_EQ(train("a", {}), "");
}

// Without a limit of the gradients such a rate makes the weights NaN.
TEST_F(GuardedRun, WeightsThatAreNotFiniteAreNeverWritten) {
  options_.optimizer.lr = 1;
  options_.optimizer.lr_warmup = 0;
  options_.optimizer.clip_norm = 0;
  options_.optimizer.steps = 200;
  options_.run.save_every = options_.run.keep_checkpoints = 1;
  EXPECT_THAT(train("a", {}), HasSubstr("3 returns to step"));
  const std::string newest = *newest_checkpoint(folder_ / "a");
  const Checkpoint checkpoint = Checkpoint::open(newest);
  Trainer trainer(options_.optimizer, checkpoint.config(), [](int64_t) { return Batch(); });
  EXPECT_NO_THROW(checkpoint.load(trainer.network(), trainer.optimizer()));
  EXPECT_NO_THROW(load_model(folder_ / "a/model.safetensors"));
  // At the end of a training, nothing is said to be saved.
  options_.run.save_every = 1000;
  options_.optimizer.steps = checkpoint.step() + 1;
  EXPECT_THAT(train("b", {}), HasSubstr("was not saved, because its weights"));
}

TEST_F(GuardedRun, ALogThatAnotherRunLeftIsForgotten) {
  make_folder(folder_ / "a");
  Guard(folder_ / "a").returned(3, 0);
  const auto run = Run::create(folder_ / "a", options_,
                               std::make_shared<test::ProgramPictures>([](auto&) { return true; }));
  run->step();
  EXPECT_FALSE(exists(folder_ / "a/guard.jsonl"));
}

// A run that is never interrupted has no save of step 5.
TEST_F(GuardedRun, ReturnsToTheSameStepAfterAnInterruption) {
  EXPECT_EQ(train("a", {6, 7, 8}), "");
  options_.optimizer.steps = 5;
  EXPECT_EQ(train("b", {}), "");
  options_.optimizer.steps = 9;
  EXPECT_EQ(train("b", {1, 2, 3}), "");
  EXPECT_EQ(weights("b"), weights("a"));
}

TEST_F(GuardedRun, ACheckpointWithoutNumbersIsPassedOver) {
  EXPECT_EQ(train("a", {}, 6), "");
  const std::string newest = *newest_checkpoint(folder_ / "a");
  {
    const Checkpoint checkpoint = Checkpoint::open(newest);
    Trainer trainer(options_.optimizer, checkpoint.config(), [](int64_t) { return Batch(); });
    checkpoint.load(trainer.network(), trainer.optimizer());
    trainer.network().parameters()[0].parameter->variable.value().f32()[0] = NAN;
    save_checkpoint(newest, checkpoint.config(), trainer.network(), trainer.optimizer(),
                    checkpoint.marks());
  }
  EXPECT_EQ(train("a", {}), "");
  EXPECT_THAT(warnings_, HasSubstr("holds nan"));
  EXPECT_EQ(train("b", {}), "");
  EXPECT_EQ(weights("a"), weights("b"));
}

}  // namespace
}  // namespace ddpm
