// ddpm average, and the averages of ddpm train.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "ddpm/base/file.h"
#include "ddpm/io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Average : public ::testing::Test {
 protected:
  void SetUp() override {
    make_pictures(pictures_, 4);
    train({"--power-average", "auto", "--power-average-every", "4"});
  }
  void train(const std::vector<std::string>& more) {
    std::filesystem::remove_all(run_);
    std::vector<std::string> words = {"--batch",      "2",  "--sample-every", "0",
                                      "--save-every", "32", "--steps",        "32"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_ddpm(small_training(pictures_, run_, words));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  std::vector<std::string> words(std::vector<std::string> more) const {
    more.insert(more.begin(), {"average", run_, "--out", out_});
    return more;
  }
  Outcome average(const std::vector<std::string>& more) const { return run_ddpm(words(more)); }
  // The metadata of a file.
  static std::string value(const std::string& file, const std::string& key) {
    const SafetensorsFile open = SafetensorsFile::open(file);
    const auto found = open.metadata().find(key);
    return found == open.metadata().end() ? "" : found->second;
  }

  TemporaryFolder folder_;
  const std::string pictures_ = folder_ / "pictures", run_ = folder_ / "run";
  const std::string out_ = folder_ / "out.safetensors";
};

TEST_F(Average, OfAWidthIsAModel) {
  const Outcome made = average({"--width", "0.08", "--at", "28"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("width 0.08 at step 28, made of 14 averages"));
  EXPECT_EQ(value(out_, "ddpm.average_width"), "0.08");
  EXPECT_EQ(value(out_, "ddpm.step"), "28");
  EXPECT_EQ(value(out_, "ddpm.run"), value(run_ + "/model.safetensors", "ddpm.run"));
  const Outcome drawn =
      run_ddpm({"sample", out_, "--n", "1", "--steps", "2", "--out", folder_ / "grid.png"});
  EXPECT_EQ(drawn.status, 0) << drawn.err;
}

TEST_F(Average, SeveralWidthsGoToSeveralFiles) {
  ASSERT_EQ(average({"--width", "0.05,0.15"}).status, 0);
  EXPECT_EQ(value(folder_ / "out-0.05.safetensors", "ddpm.average_width"), "0.05");
  EXPECT_EQ(value(folder_ / "out-0.15.safetensors", "ddpm.average_width"), "0.15");
  EXPECT_EQ(value(folder_ / "out-0.15.safetensors", "ddpm.step"), "32");
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(Average, AutoTakesTheWidthWithTheSmallestLoss) {
  const Outcome made = average({"--width", "auto", "--data", pictures_, "--n", "3"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("Loss of each width on 3 pictures, at step 32"));
  // The table's rows: width, loss, error.
  double least = 1e9;
  std::string best, marked;
  std::istringstream lines(made.out.substr(made.out.find("average\n") + 8));
  for (std::string line; std::getline(lines, line) && line.starts_with("  ");) {
    std::istringstream row(line);
    std::string width;
    double loss = 0;
    row >> width >> loss;
    if (loss < least) best = width;
    least = std::min(least, loss);
    if (line.ends_with("best")) marked = width;
  }
  EXPECT_LT(least, 10);
  EXPECT_EQ(marked, best);
  EXPECT_EQ(value(out_, "ddpm.average_width"), best);
  // The same again, whatever the threads.
  const Outcome again =
      average({"--width", "auto", "--data", pictures_, "--n", "3", "--threads", "1"});
  EXPECT_EQ(again.out, made.out);
}

TEST_F(Average, AutoTakesThePicturesThatTheRunHoldsOut) {
  make_pictures(pictures_, 12);
  train({"--power-average", "auto", "--power-average-every", "4", "--validation", "0.4"});
  const std::string config = read_file(run_ + "/config.json");
  const Outcome made = average({"--width", "auto"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.out,
              ::testing::ContainsRegex("Loss of each width on [2-8] pictures, at step 32"));
  EXPECT_EQ(read_file(run_ + "/config.json"), config);
  EXPECT_THAT(average({"--width", "auto", "--data", pictures_}).out, HasSubstr("on 12 pictures"));
  expect_refused(words({"--width", "auto", "--background", "black"}), 2, "for --data");
}

TEST_F(Average, RefusesWhatCannotBe) {
  expect_refused(words({"--width", "wide"}), 2, "not a list of widths such as 0.05,0.1");
  expect_refused(words({"--width", "none"}), 2, "no width");
  expect_refused(words({"--width", "0.4"}), 2, "0.4 but must be from 0.0001");
  expect_refused(words({"--width", "0.006"}), 2, "Widths from ");
  expect_refused(words({"--width", "0.1", "--at", "9"}), 2, "there are those of the steps 4, 8");
  expect_refused(words({"--width", "auto"}), 2, "--validation");
  expect_refused(words({"--width", "0.1", "--n", "9"}), 2, "--n is for --width auto");
  expect_refused(words({"--width", "auto", "--data", folder_ / "absent"}), 1, "absent");
  expect_refused({"average", folder_ / "absent", "--width", "0.1", "--out", out_}, 1, "absent");
  expect_refused({"average", run_, "--width", "0.1", "--out", run_ + "/model.safetensors"}, 2,
                 "is a file in the run");
  for (const char* folder : {"averages/width_0.1", "checkpoints"}) {
    const std::string file = run_ + "/" + folder + "/step-00000099.safetensors";
    expect_refused({"average", run_, "--width", "0.1", "--out", file}, 2, "choose another place");
  }
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(Average, TheFolderOfTheFileIsMade) {
  const std::string file = folder_ / "new/folder/x.safetensors";
  const Outcome made = run_ddpm({"average", run_, "--width", "0.1", "--out", file});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(Average, ARunMustHaveKeptSome) {
  train({"--average-halflife", "100,20"});
  expect_refused(words({"--width", "0.1"}), 2, "--power-average auto");
  EXPECT_THAT(names_in(run_ + "/averages"),
              ::testing::ElementsAre("ema_decay.safetensors", "halflife_20.safetensors"));
  const Outcome idle =
      run_ddpm({"train", "--out", run_, "--resume", "--steps", "33", "--power-average-every", "2"});
  EXPECT_EQ(idle.status, 0) << idle.err;
  EXPECT_THAT(idle.err, HasSubstr("--power-average-every changes nothing"));
}

}  // namespace
}  // namespace ddpm::test
