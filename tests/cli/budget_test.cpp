// Trainings that end by the clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "ddpm/base/file.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class Budget : public ::testing::Test {
 protected:
  void SetUp() override { make_pictures(pictures_, 6); }

  std::vector<std::string> training(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"--batch", "4", "--sample-count", "2", "--sample-steps", "2"};
    words.insert(words.end(), more.begin(), more.end());
    return small_training(pictures_, run_, words);
  }
  std::vector<Json> lines(const std::string& file) const { return lines(file, run_); }
  static std::vector<Json> lines(const std::string& file, const std::string& run) {
    std::vector<Json> all;
    std::istringstream text(read_file(run + "/" + file));
    for (std::string line; std::getline(text, line);) all.push_back(Json::parse(line));
    return all;
  }

  TemporaryFolder folder_;
  const std::string pictures_ = folder_ / "pictures", run_ = folder_ / "run";
};

// That it ends on time is tested with a given clock (engine/run/clock_test.cpp). How fast this
// machine is must not matter here.
TEST_F(Budget, EndsByTheClock) {
  const Outcome outcome = run_ddpm(training({"--budget", "1s", "--lr-schedule", "cosine"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Json last = lines("clock.jsonl").back();
  EXPECT_EQ(last["budget"], 1);
  EXPECT_EQ(last["steps_left"], 0);
  EXPECT_EQ(last["progress"], 1);
  EXPECT_EQ(last["step"], lines("metrics.jsonl").back()["step"]);
  const std::string step = std::to_string(last["step"].get<int64_t>());
  EXPECT_THAT(outcome.out, ContainsRegex("Done: " + step + " steps? in [0-9.hms]+\\."));
  EXPECT_THAT(outcome.err, ContainsRegex("\nstep " + step + "  100% done  loss .*images/s\n"));
}

TEST_F(Budget, IsShownOnATerminal) {
  const Outcome outcome = ddpm_on_terminal(training({"--budget", "1s"}));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, ContainsRegex("100% step [0-9]+  loss .*images/s"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("% done")));
}

TEST_F(Budget, CtrlCTellsTheTimeThatIsLeft) {
  Program program(training({"--budget", "1h", "--sample-every", "0"}));
  for (int i = 0; i < 6000; ++i) {  // a minute
    if (exists(run_ + "/metrics.jsonl") && lines("metrics.jsonl").size() > 4) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  program.signal(SIGINT);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.status, 130) << stopped.err;
  EXPECT_THAT(stopped.err, ContainsRegex("\nstep 1  0% done  loss .*images/s  [0-9:]+ left\n"));
  EXPECT_THAT(stopped.out,
              ContainsRegex("Stopped after step [0-9]+; (1h|[0-9]+m[0-9]*s?) of the budget of 1h "
                            "are left, everything is saved"));

  const int64_t done = lines("metrics.jsonl").back()["step"];
  const Outcome over = run_ddpm({"train", "--out", run_, "--resume", "--budget", "0.1s"});
  EXPECT_EQ(over.status, 0) << over.err;
  EXPECT_THAT(over.err, HasSubstr("the budget of 0.1s is used up after step " +
                                  std::to_string(done) + ", so no more steps are done"));
  EXPECT_EQ(lines("metrics.jsonl").back()["step"], done);
}

TEST_F(Budget, TwoEndsAreRefused) {
  expect_refused(training({"--budget", "1s", "--steps", "3"}), 2,
                 "--steps 3 and --budget 1s cannot both end a training; leave one of them out");
  expect_refused(training({"--budget", "10"}), 2, "--budget is 10, a number without a unit");
  expect_refused(training({"--budget", "0"}), 2, "must be more than 0 and at most 10000d, such as");
  expect_refused(training({"--budget", "repeat:" + pictures_}), 2, " is a folder without a clock");
  ASSERT_EQ(run_ddpm(training({"--budget", "0.2s"})).status, 0);
  expect_refused({"train", "--out", run_, "--resume", "--steps", "3"}, 2,
                 "--steps 3 and --budget 0.2s cannot both end a training, and the run was started "
                 "with the budget; leave --steps out, or give another --budget");
  expect_refused({"train", "--out", run_ + "2", "--config", run_ + "/config.json", "--steps", "3"},
                 2, "add --budget none to end it after the steps");
  EXPECT_EQ(run_ddpm({"train", "--out", run_ + "2", "--config", run_ + "/config.json", "--steps",
                      "3", "--budget", "none"})
                .status,
            0);
  expect_refused({"train", "--out", run_ + "2", "--resume", "--budget", "1s"}, 2,
                 "the run was started without a budget");
}

TEST_F(Budget, ATrainingIsRepeated) {
  ASSERT_EQ(run_ddpm(training({"--budget", "1s", "--lr-schedule", "linear"})).status, 0);
  const std::vector<Json> first = lines("metrics.jsonl");
  const Outcome again = run_ddpm({"train", "--out", run_ + "2", "--config", run_ + "/config.json",
                                  "--budget", "repeat:" + run_ + "/clock.jsonl"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("step " + std::to_string(first.size()) + "/" +
                                   std::to_string(first.size()) + "  loss "));
  const std::vector<Json> second = lines("metrics.jsonl", run_ + "2");
  ASSERT_EQ(second.size(), first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(second[i]["loss"], first[i]["loss"]);
    EXPECT_EQ(second[i]["lr"], first[i]["lr"]);
  }
}

}  // namespace
}  // namespace ddpm::test
