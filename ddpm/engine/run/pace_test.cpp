#include "ddpm/engine/run/pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/base/file.h"
#include "ddpm/base/philox.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

constexpr double kBudget = 1000;

TrainOptions plain_options() {
  TrainOptions options;
  options.optimizer.batch = 10;
  options.run = {.save_every = 1'000'000, .sample_every = 0};
  return options;
}

// A training without a network: its clock goes on by what each step takes.
class Training {
 public:
  // The seconds of a step that begins at this time.
  using Speed = std::function<double(double now)>;

  explicit Training(const std::string& file, double budget = kBudget)
      : pace_(file, budget), forecast_(plain_options(), {}) {}

  // Trains until the end, or until `most` steps are done.
  void train(const Speed& speed, int64_t most = 1'000'000) {
    while (step_ < most && !(pace_.has_plan() && step_ >= pace_.last_step())) {
      const double seconds = speed(now_);
      now_ += seconds;
      ++step_;
      forecast_.took(RunWork::kStep, seconds);
      pace_.plan(step_, now_, forecast_);
      progress_.push_back(pace_.progress(step_));
    }
  }
  // A session begins: it loads for some time, and its checkpoint is of this step.
  void go_on(int64_t step, double load_seconds) {
    step_ = step;
    now_ = pace_.elapsed_before() + load_seconds;
    pace_.go_on_from(step_, now_);
    progress_ = {pace_.progress(step_)};
  }

  Pace& pace() { return pace_; }
  double now() const { return now_; }
  int64_t steps() const { return step_; }
  // How late the end is, as a share of the budget.
  double late() const { return now_ / *pace_.budget() - 1; }
  // The largest share of the training that one step did since the first plan, in those of a
  // training whose steps all do the same. Without the last step, whose share is the rest: no
  // learning rate follows from it.
  double largest_share() const {
    double largest = 0;
    for (size_t i = 1; i + 1 < progress_.size(); ++i) {
      EXPECT_GE(progress_[i], progress_[i - 1]);
      if (progress_[i - 1] > 0) largest = std::max(largest, progress_[i] - progress_[i - 1]);
    }
    return largest * static_cast<double>(progress_.size());
  }

 private:
  Pace pace_;
  Forecast forecast_;
  double now_ = 0;
  int64_t step_ = 0;
  std::vector<double> progress_;
};

class PaceTest : public ::testing::Test {
 protected:
  std::string file() const { return folder_ / "clock.jsonl"; }
  int64_t lines() const {
    const std::string text = read_file(file());
    return std::count(text.begin(), text.end(), '\n');
  }
  void write(const std::string& text) const { write_file_atomic(file(), text); }

  test::TemporaryFolder folder_;
};

struct Machine {
  const char* name;
  Training::Speed speed;
  // The largest share of a step, see Training. It is above 1 where a machine becomes slower,
  // because fewer steps are then left for the rest.
  double share;
};

class PaceOfMachine : public PaceTest, public ::testing::WithParamInterface<Machine> {};

TEST_P(PaceOfMachine, EndsOnTime) {
  Training training(file());
  training.train(GetParam().speed);
  EXPECT_NEAR(training.late(), 0, 0.01);
  EXPECT_EQ(training.pace().progress(training.steps()), 1);
  EXPECT_LE(training.largest_share(), GetParam().share);
  EXPECT_LE(lines(), 250);
}

// The speed of a machine that is busy with other things at random: each step may take much longer.
double noisy(double now) {
  static const Philox random(7);
  const double u = random.uniform(static_cast<uint64_t>(now * 1e6));
  return u < 0.02 ? 4.0 : 0.3 + 0.2 * u;
}

INSTANTIATE_TEST_SUITE_P(
    Machines, PaceOfMachine,
    ::testing::Values(
        Machine{"even", [](double) { return 1.0; }, 1.1},
        Machine{"halves", [](double now) { return now < 500 ? 0.5 : 1.0; }, 1.7},
        Machine{"doubles", [](double now) { return now < 500 ? 1.0 : 0.5; }, 1.6},
        Machine{"busy_for_a_while", [](double now) { return now > 300 && now < 400 ? 2.0 : 0.2; },
                5},
        Machine{"busy_at_the_end", [](double now) { return now < 990 ? 0.2 : 2.0; }, 6},
        Machine{"idle_at_the_end", [](double now) { return now < 900 ? 2.0 : 0.2; }, 2},
        Machine{"stalls", [](double now) { return now > 500 && now < 501 ? 300.0 : 0.5; }, 2.1},
        Machine{"stalls_near_the_end",
                [](double now) { return now > 950 && now < 951 ? 45.0 : 0.5; }, 12},
        Machine{"begins_slowly", [](double now) { return now == 0 ? 20.0 : 0.1; }, 1.1},
        Machine{"noisy", noisy, 1.4}),
    [](const auto& info) { return info.param.name; });

TEST_F(PaceTest, FewLongStepsEndAsNearAsTheyCan) {
  for (const double seconds : {200.0, 240.0, 300.0, 333.0, 350.0, 600.0, 900.0, 5000.0}) {
    remove_file(file());
    Training training(file());
    training.train([&](double) { return seconds; });
    EXPECT_EQ(training.steps(), std::max(std::llround(kBudget / seconds), 1LL)) << seconds;
    EXPECT_EQ(training.pace().progress(training.steps()), 1) << seconds;
  }
}

TEST_F(PaceTest, AStepIsDoneEvenIfLoadingTookLonger) {
  Training training(file());
  training.go_on(0, 2 * kBudget);
  training.train([](double) { return 1.0; });
  EXPECT_EQ(training.steps(), 1);
  EXPECT_EQ(training.pace().progress(1), 1);
}

TEST_F(PaceTest, TheEndIsPartOfTheBudget) {
  TrainOptions options = plain_options();
  options.run.sample_every = 1'000'000;
  options.run.sample_count = 30;
  Forecast forecast(options, {.grid = 100, .save_seconds = 20});
  Pace pace(file(), kBudget);
  double now = 0;
  int64_t step = 0;
  for (; !pace.has_plan() || step < pace.last_step(); pace.plan(++step, now, forecast)) {
    now += 0.5;
    forecast.took(RunWork::kStep, 0.5);
  }
  // The grid takes 100 passes over three batches, each a third of a step.
  // A hundredth is kept.
  EXPECT_NEAR(now + 20 + 100 * 0.5, 0.99 * kBudget, 0.5);
}

TEST_F(PaceTest, ARunThatIsKilledEndsOnTime) {
  const auto speed = [](double) { return 1.0; };
  {
    Training training(file());
    training.train(speed, 480);
    EXPECT_NEAR(training.pace().progress(400), 0.4, 0.01);
  }
  double before = 0;
  for (int session = 0; session < 3; ++session) {
    Training training(file());
    // At most a hundredth of the budget is lost to knowledge.
    EXPECT_GE(training.pace().elapsed_before(), session == 0 ? 470 : before);
    training.go_on(400, 20);
    before = training.now();
    // The weights are those of step 400, so its share stays.
    EXPECT_NEAR(training.pace().progress(400), 0.4, 0.01);
  }
  Training training(file());
  training.go_on(400, 20);
  training.train(speed);
  EXPECT_NEAR(training.late(), 0, 0.002);
  EXPECT_NEAR(training.steps(), 400 + (1000 - 480 - 4 * 20), 10);
  EXPECT_LE(training.largest_share(), 2);
}

TEST_F(PaceTest, FollowsFromItsFile) {
  Training training(file());
  training.train([](double now) { return now < 300 ? 1.0 : 2.0; }, 350);
  training.go_on(200, 5);
  training.train([](double) { return 2.0; });
  const Pace again(file(), std::nullopt);
  EXPECT_EQ(again.last_step(), training.steps());
  for (int64_t step = 0; step <= training.steps(); ++step) {
    EXPECT_EQ(again.progress(step), training.pace().progress(step));
    EXPECT_EQ(again.decayed(50, step), training.pace().decayed(50, step));
  }
  // The lines that were replaced are left out.
  write(again.text());
  EXPECT_EQ(Pace(file(), std::nullopt).text(), again.text());
  EXPECT_LT(std::ssize(again.text()), std::ssize(read_file(file())) + 1);
}

TEST_F(PaceTest, WithoutABudgetItFollowsTheLinesAndWritesNone) {
  const std::string text =
      R"({"step":3,"elapsed":4.0,"budget":10.0,"progress":0.25,"steps_left":8})"
      "\n";
  write(text);
  Training training(file());
  Pace pace(file(), std::nullopt);
  Forecast forecast(plain_options(), {});
  for (int64_t step = 0; step < 11; ++step) pace.plan(step, 1e6, forecast);
  pace.go_on_from(2, 1e6);
  pace.require_plan(2, 1e6, forecast);
  pace.close(5, 1e6);
  EXPECT_EQ(read_file(file()), text);
  EXPECT_EQ(pace.last_step(), 11);
  EXPECT_EQ(pace.progress(2), 0);
  EXPECT_EQ(pace.progress(3), 0.25);
  EXPECT_EQ(pace.progress(5), 0.25 + 0.75 * 2 / 8);
  EXPECT_EQ(pace.progress(11), 1);
}

TEST_F(PaceTest, ALineReplacesThoseOfItsStepAndOfLaterOnes) {
  write(R"({"step":3,"elapsed":3,"budget":10,"progress":0.25,"steps_left":8})"
        "\n"
        R"({"step":5,"elapsed":5,"budget":10,"progress":0.5,"steps_left":5})"
        "\n"
        R"({"step":4,"elapsed":6,"budget":10,"progress":0.4,"steps_left":2})"
        "\n");
  const Pace pace(file(), 10);
  EXPECT_EQ(pace.last_step(), 6);
  EXPECT_EQ(pace.progress(5), 0.7);
  EXPECT_EQ(pace.elapsed_before(), 6);
}

// As earlier versions wrote it.
TEST_F(PaceTest, TheEndIsTheWholeWhateverItsLineSays) {
  write(R"({"step":3,"elapsed":3,"budget":10,"progress":0.25,"steps_left":2})"
        "\n"
        R"({"step":4,"elapsed":9,"budget":10,"progress":0.6,"steps_left":0})"
        "\n");
  const Pace pace(file(), std::nullopt);
  EXPECT_EQ(pace.last_step(), 4);
  EXPECT_EQ(pace.progress(4), 1);
}

TEST_F(PaceTest, DamagedLinesAreLeftOut) {
  write(R"({"step":3,"elapsed":3,"budget":10,"progress":0.25,"steps_left":8})"
        "\n"
        R"({"step":4,"elapsed":4,"budget":10,"progress":1.5,"steps_left":8})"
        "\n"
        R"({"step":4,"elapsed":4,"budget":0,"progress":0.5,"steps_left":8})"
        "\n"
        R"({"step":4,"elapsed":-4,"budget":10,"progress":0.5,"steps_left":8})"
        "\n"
        R"({"step":4,"elapsed":4,"budget":10,"progress":0.5,"steps_left":-8})"
        "\n"
        R"({"step":-4,"elapsed":4,"budget":10,"progress":0.5,"steps_left":8})"
        "\n"
        R"({"step":4,"elapsed":4,"budget":10,"progress":0.5})"
        "\n"
        R"({"step":4,"elap)");
  const Pace pace(file(), 10);
  EXPECT_EQ(pace.damaged_lines(), 7);
  EXPECT_EQ(pace.last_step(), 11);
}

TEST_F(PaceTest, MoreTimeMakesWhatIsDoneASmallerShare) {
  const auto speed = [](double) { return 1.0; };
  Training(file()).train(speed);
  {
    // Nothing changes without more time.
    const std::string before = read_file(file());
    Training training(file());
    training.go_on(1000, 5);
    EXPECT_EQ(training.pace().last_step(), 1000);
    EXPECT_EQ(read_file(file()), before);
  }
  Training training(file(), 2 * kBudget);
  training.go_on(1000, 5);
  EXPECT_NEAR(training.pace().progress(1000), 0.5, 0.01);
  // A rate that falls from step 100 falls over 1900 steps now.
  EXPECT_NEAR(training.pace().decayed(100, 1000), 900 / 1900.0, 0.01);
  training.train(speed);
  EXPECT_NEAR(training.late(), 0, 0.002);
  EXPECT_NEAR(training.steps(), 1995, 3);
  EXPECT_LE(training.largest_share(), 2);
}

TEST_F(PaceTest, LessTimeMakesItALargerShare) {
  const auto speed = [](double) { return 1.0; };
  Training(file()).train(speed, 400);
  Training training(file(), kBudget / 2);
  training.go_on(400, 5);
  EXPECT_NEAR(training.pace().progress(400), 0.8, 0.01);
  training.train(speed);
  EXPECT_NEAR(training.late(), 0, 0.002);
}

TEST_F(PaceTest, ABudgetThatIsUsedUpEndsTheTraining) {
  Training(file()).train([](double) { return 1.0; }, 990);
  Training training(file());
  training.go_on(900, 20);
  EXPECT_EQ(training.pace().last_step(), 900);
  EXPECT_EQ(training.pace().progress(900), 1);
  // Without a checkpoint there would be no weights.
  Training from_the_start(file());
  from_the_start.go_on(0, 20);
  EXPECT_EQ(from_the_start.pace().last_step(), 1);
}

TEST_F(PaceTest, ASaveBeforeThePlanHasOne) {
  Pace pace(file(), kBudget);
  Forecast forecast(plain_options(), {});
  forecast.took(RunWork::kStep, 10);
  pace.plan(1, 20, forecast);
  EXPECT_FALSE(pace.has_plan());
  pace.require_plan(1, 20, forecast);
  EXPECT_EQ(pace.last_step(), 1 + 98);
}

// Steps that the guard skips are not measured.
TEST_F(PaceTest, EndsWithoutAMeasuredStep) {
  Pace pace(file(), kBudget);
  Forecast forecast(plain_options(), {});
  pace.plan(1, kBudget / 2, forecast);
  EXPECT_FALSE(pace.has_plan());
  pace.plan(2, kBudget, forecast);
  EXPECT_EQ(pace.last_step(), 2);
}

TEST_F(PaceTest, TheEndOfASessionTellsItsTime) {
  Training training(file());
  training.train([](double) { return 1.0; }, 504);
  const int64_t last = training.pace().last_step();
  const double progress = training.pace().progress(504);
  training.pace().close(504, 520);
  const Pace again(file(), kBudget);
  EXPECT_EQ(again.elapsed_before(), 520);
  EXPECT_EQ(again.last_step(), last);
  EXPECT_EQ(again.progress(504), progress);
}

}  // namespace
}  // namespace ddpm
