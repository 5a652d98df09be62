// Runs that end by the clock. Their clock goes on only when a test says so.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <set>

#include "ddpm/data/dataset.h"
#include "ddpm/engine/power_averages.h"
#include "ddpm/engine/run/line_log.h"
#include "ddpm/engine/run/pace.h"
#include "ddpm/engine/run/run_test_support.h"

namespace ddpm {
namespace {

using ::testing::HasSubstr;

class ClockRun : public test::RunTest {
 protected:
  static constexpr int64_t kAll = 1'000'000;

  ClockRun() {
    options_.data.channels = "1";
    options_.optimizer.budget = "100s";
    options_.optimizer.lr_schedule = "cosine";
    options_.optimizer.lr_warmup = 5;
    options_.run.save_every = 20;
    options_.run.sample_every = 0;
  }

  RunObserver observer() {
    RunObserver observer;
    observer.clock = [this] { return now_; };
    observer.saved = [this](const std::string&) { now_ += save_seconds_; };
    observer.warned = [this](const std::string& text) { warnings_ += text + "\n"; };
    observer.stepped = [this](const RunMetrics& metrics) { metrics_ = metrics; };
    return observer;
  }
  std::unique_ptr<ddpm::Run> open(const std::string& name) {
    now_ = 0;
    const PictureLoader load = [this](const PictureRequest&) {
      now_ += load_seconds_;
      return std::make_shared<test::ProgramPictures>([this](const BatchPlan& plan) {
        // Of a step, not of a validation.
        if (plan.indices.size() != 2) return true;
        now_ += step_seconds_(total_ + now_);
        return !faulty_.contains(++batches_);
      });
    };
    const std::string directory = folder_ / name;
    return exists(directory + "/config.json")
               ? ddpm::Run::resume(directory, load, {.options = options_}, observer())
               : ddpm::Run::create(directory, options_, load, observer());
  }
  // A session of at most `most` steps. It is killed after them, unless it is to save.
  void train(const std::string& name, int64_t most = kAll, bool saves = false) {
    const auto run = open(name);
    for (int64_t done = 0; !run->done() && done < most; ++done) run->step();
    if (run->done() || saves) run->finish();
    steps_ = run->steps();
    total_ += now_;
  }

  std::string log(const std::string& name) { return folder_ / (name + "/clock.jsonl"); }
  JsonObject last_line(const std::string& name) {
    std::string text = read_file(log(name));
    text.pop_back();
    return JsonObject::parse(text.substr(text.rfind('\n') + 1), "a line");
  }
  std::vector<double> rates(const std::string& name) {
    std::vector<double> all;
    for (const std::string& line : metrics(name))
      all.push_back(value_in<double>(JsonObject::parse(line, "a line"), "lr"));
    return all;
  }
  // Without the spaces that fill up the header, which holds the options.
  std::string hash_of_weights(const std::string& name) {
    const std::string text = weights(name);
    return hash_hex(text.substr(text.find_first_not_of(' ')));
  }
  // Expects a run that follows the log of another to be the same.
  void expect_repeated(const std::string& name) {
    options_.optimizer.budget = "repeat:" + log(name);
    batches_ = 0;
    step_seconds_ = [](double) { return 17.0; };
    train("again");
    EXPECT_EQ(steps_, static_cast<int64_t>(metrics(name).size()));
    EXPECT_EQ(hash_of_weights("again"), hash_of_weights(name));
    EXPECT_EQ(rates("again"), rates(name));
  }

  // Of the session.
  double now_ = 0;
  // Of the sessions before.
  double total_ = 0;
  double load_seconds_ = 3, save_seconds_ = 0;
  std::function<double(double now)> step_seconds_ = [](double) { return 1.0; };
  // The numbers of batches that are faulty.
  std::set<int> faulty_;
  int batches_ = 0;
  RunMetrics metrics_;
  int64_t steps_ = 0;
  std::string warnings_;
};

TEST_F(ClockRun, EndsOnTimeWithAllThatTakesTime) {
  options_.run.sample_every = options_.run.snapshot_every = 25;
  save_seconds_ = 1.5;
  step_seconds_ = [](double now) { return now < 50 ? 0.5 : 1.0; };
  train("a");
  EXPECT_NEAR(total_, 100, 1);
  EXPECT_NEAR(value_in<double>(last_line("a"), "elapsed"), total_, 1e-3);
  EXPECT_EQ(value_in<int64_t>(last_line("a"), "steps_left"), 0);
  EXPECT_EQ(value_in<double>(last_line("a"), "progress"), 1);
  EXPECT_EQ(metrics_.step, steps_);
  EXPECT_EQ(metrics_.progress, 1);
  EXPECT_EQ(metrics_.planned_steps, steps_);
  EXPECT_TRUE(exists(folder_ / fmt::format("a/samples/step-{:08}.png", steps_)));
  // The rate falls until the last step, without jumps.
  const std::vector<double> all = rates("a");
  const double falls_evenly = M_PI / 2 / static_cast<double>(steps_) * options_.optimizer.lr;
  for (size_t i = 5; i < all.size(); ++i) {
    EXPECT_LE(all[i], all[i - 1]);
    EXPECT_GT(all[i], all[i - 1] - 2 * falls_evenly);
  }
  EXPECT_GT(all.back(), 0);
  EXPECT_LT(all.back(), 0.01 * options_.optimizer.lr);
}

TEST_F(ClockRun, AKilledRunEndsOnTimeAndFollowsFromItsLog) {
  step_seconds_ = [](double now) { return now < 30 ? 0.4 : 0.8; };
  train("a", 37);
  train("a", 31);
  EXPECT_EQ(steps_, 51);
  train("a", 12, true);
  EXPECT_EQ(steps_, 52);
  // Before its first save.
  train("a", 3);
  train("a");
  EXPECT_NEAR(total_, 100, 2);
  expect_repeated("a");
}

TEST_F(ClockRun, ARepeatedRunMayBeKilled) {
  train("a");
  options_.optimizer.budget = "repeat:" + log("a");
  train("b", 33);
  // The file is needed only at the start.
  std::filesystem::rename(log("a"), folder_ / "moved");
  train("b", 9);
  train("b");
  EXPECT_EQ(hash_of_weights("b"), hash_of_weights("a"));
  EXPECT_EQ(read_file(log("b")), read_file(folder_ / "moved"));
}

TEST_F(ClockRun, ARunWhoseGuardReturnsFollowsFromItsLog) {
  faulty_ = {25, 33, 34, 35};
  train("a");
  EXPECT_THAT(warnings_, HasSubstr("the run returns to step 20"));
  EXPECT_NEAR(total_, 100, 1);
  // The 15 steps after step 20 took time and came to nothing.
  EXPECT_NEAR(static_cast<double>(steps_), 97 - 15, 1);
  batches_ = 0;
  options_.optimizer.budget = "repeat:" + log("a");
  train("b");
  EXPECT_EQ(hash_of_weights("b"), hash_of_weights("a"));
}

TEST_F(ClockRun, EndsWithFewSteps) {
  options_.run.save_every = 1;
  load_seconds_ = 1;
  step_seconds_ = [](double) { return 33.0; };
  train("a");
  EXPECT_EQ(steps_, 3);
  EXPECT_EQ(total_, 100);
  expect_repeated("a");
}

TEST_F(ClockRun, IsKilledAfterEachStep) {
  options_.run.save_every = 1;
  // A session takes four seconds.
  for (int session = 0; session < 25; ++session) train("a", 1);
  EXPECT_EQ(steps_, 25);
  train("a");
  EXPECT_THAT(warnings_, HasSubstr("the budget of 1m40s is used up after step 25"));
  EXPECT_EQ(steps_, 25);
}

TEST_F(ClockRun, AUsedUpBudgetIsTold) {
  train("a");
  EXPECT_EQ(warnings_, "");
  const int64_t steps = steps_;
  const std::string before = read_file(log("a"));
  train("a");
  EXPECT_EQ(steps_, steps);
  EXPECT_EQ(warnings_,
            fmt::format("the budget of 1m40s is used up after step {}, so no more steps are done; "
                        "a larger --budget gives the run more time\n",
                        steps));
  EXPECT_EQ(read_file(log("a")), before);
}

TEST_F(ClockRun, ALargerBudgetGivesMoreTime) {
  train("a");
  options_.optimizer.budget = "150s";
  train("a", 20);
  EXPECT_THAT(warnings_, HasSubstr("with a budget of 2m30s instead of 1m40s, the cosine schedule "
                                   "gives step 98 the learning rate 5."));
  EXPECT_THAT(warnings_, HasSubstr("e-05 instead of 0\n"));
  EXPECT_NEAR(metrics_.progress, 118 / 150.0, 0.03);
  warnings_ = "";
  train("a");
  EXPECT_EQ(warnings_, "");
  EXPECT_NEAR(total_, 150, 2);
  expect_repeated("a");
}

TEST_F(ClockRun, ASmallerBudgetEndsSooner) {
  train("a", 45);
  options_.optimizer.budget = "60s";
  train("a");
  EXPECT_NEAR(total_, 60, 1);
  EXPECT_EQ(steps_, 40 + (60 - 48 - 3));
}

TEST_F(ClockRun, ASessionWithoutAStepCountsToo) {
  train("a", 45);
  open("a")->finish();
  const double before = value_in<double>(last_line("a"), "elapsed");
  now_ = 0;
  {
    const auto run = open("a");
    now_ += 10;
    run->finish();
  }
  EXPECT_NEAR(value_in<double>(last_line("a"), "elapsed"), before + load_seconds_ + 10, 1e-3);
}

TEST_F(ClockRun, ABudgetThatIsUsedUpBeforeAnythingWasSavedIsTold) {
  options_.run.save_every = 1000;
  train("a", 95);
  load_seconds_ = 5;
  train("a");
  EXPECT_EQ(steps_, 1);
  EXPECT_THAT(warnings_, HasSubstr("the budget of 1m40s is used up although no step was saved, so "
                                   "only one step is done; a larger --budget gives the run more "
                                   "time"));
}

TEST_F(ClockRun, ThePlanIsShown) {
  const auto run = open("a");
  EXPECT_EQ(run->snapshot().wanted_steps, 0);
  EXPECT_EQ(run->elapsed(), 3);
  run->step();
  EXPECT_EQ(metrics_.planned_steps, 0);
  EXPECT_EQ(metrics_.progress, 0);
  EXPECT_EQ(metrics_.seconds_left, 96);
  for (int i = 0; i < 40; ++i) run->step();
  EXPECT_EQ(run->snapshot().wanted_steps, 97);
  EXPECT_EQ(metrics_.planned_steps, 97);
  EXPECT_EQ(metrics_.progress, Pace(log("a"), std::nullopt).progress(41));
  EXPECT_EQ(metrics_.seconds_left, 56);
  EXPECT_EQ(run->elapsed(), 44);
  while (!run->done()) run->step();
  EXPECT_EQ(test::message_of([&] { run->step(); }), "[train] all 97 steps are done");
}

TEST_F(ClockRun, KeepsWhatIsDueAfterTheLastStep) {
  options_.data.validation = 0.5;
  options_.run.validate_every = 5;
  options_.optimizer.power_average = "0.1";
  options_.run.power_average_every = 1000;
  train("a");
  const std::string folder = power_average_folders(folder_ / "a").at(0);
  EXPECT_EQ(list_step_files(folder).back().step, steps_);
  EXPECT_EQ(metrics_.step, steps_);
  EXPECT_TRUE(metrics_.validation_loss.has_value());
}

TEST_F(ClockRun, ALogThatAnotherRunLeftIsForgotten) {
  options_.optimizer.budget = "10s";
  make_folder(folder_ / "a");
  write_file_atomic(log("a"), R"({"step":2,"elapsed":9,"budget":10,"progress":1,"steps_left":0})");
  train("a");
  EXPECT_EQ(steps_, 7);
  options_.optimizer.budget = "none";
  make_folder(folder_ / "b");
  write_file_atomic(log("b"), R"({"step":2,"elapsed":9,"budget":10,"progress":1,"steps_left":0})");
  train("b");
  EXPECT_EQ(steps_, 6);
  EXPECT_FALSE(exists(log("b")));
}

TEST_F(ClockRun, WithoutItsLogARunCannotGoOn) {
  train("a", 30);
  std::filesystem::remove(log("a"));
  EXPECT_THAT(test::message_of([&] { train("a"); }), HasSubstr("a has lost its clock.jsonl"));
}

TEST_F(ClockRun, ADamagedLineIsToldAndLeftOut) {
  train("a", 30);
  write_file_atomic(log("a"), read_file(log("a")) + "{\"step\":3");
  train("a");
  EXPECT_THAT(warnings_, HasSubstr("clock.jsonl is damaged; lines left out: 1"));
  EXPECT_NEAR(total_, 100, 2);
}

TEST_F(ClockRun, WhatEndsARunStaysTheSame) {
  train("a", 30);
  options_.optimizer.budget = "none";
  EXPECT_EQ(test::refusal([&] { train("a"); }),
            "[train] the run was started with --budget 100s and ends by the clock, so it cannot be "
            "resumed with --budget none; leave the option out, or give another time");
  options_.optimizer.budget = "repeat:" + log("a");
  EXPECT_THAT(test::refusal([&] { train("a"); }), HasSubstr("only a new run can repeat another"));
  options_.optimizer.budget = "none";
  train("b", 4);
  options_.optimizer.budget = "100s";
  EXPECT_EQ(
      test::refusal([&] { train("b"); }),
      "[train] the run was started without a budget and ends after its steps, so it cannot be "
      "resumed with --budget 100s; give another number of --steps");
}

TEST_F(ClockRun, BudgetsThatCannotBeAreRefused) {
  options_.optimizer.budget = "10";
  EXPECT_THAT(test::refusal([&] { train("a"); }), HasSubstr("write 10s for seconds"));
  options_.optimizer.budget = "repeat:";
  EXPECT_THAT(test::refusal([&] { train("a"); }), HasSubstr("such as repeat:RUN/clock.jsonl"));
  options_.optimizer.budget = "repeat:" + folder_ / "none";
  EXPECT_THAT(test::refusal([&] { train("a"); }), HasSubstr("none does not exist"));
  options_.optimizer.budget = "repeat:" + folder_ / "pictures/0.png";
  EXPECT_THAT(test::refusal([&] { train("a"); }), HasSubstr("has no line of a clock.jsonl"));
  EXPECT_FALSE(exists(folder_ / "a"));
}

TEST_F(ClockRun, AFolderInPlaceOfAClockIsRefused) {
  options_.optimizer.budget = "repeat:" + folder_ / "pictures";
  EXPECT_EQ(test::refusal([&] { train("a"); }),
            "[train] --budget is repeat:" + folder_ / "pictures" + ", but " + folder_ / "pictures" +
                " is a folder without a clock.jsonl; the file is "
                "clock.jsonl in the directory of the run that is repeated");
  EXPECT_FALSE(exists(folder_ / "a"));
  options_.optimizer.budget = "10s";
  train("b");
  for (const char* name : {"b", "b/"}) {
    options_.optimizer.budget = "repeat:" + folder_ / name;
    EXPECT_EQ(test::refusal([&] { train("a"); }),
              "[train] --budget is repeat:" + folder_ / name + ", but " + folder_ / name +
                  " is a folder; the clock.jsonl in it would work: --budget repeat:" + log("b"));
  }
}

}  // namespace
}  // namespace ddpm
