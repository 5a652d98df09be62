#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "ddpm/base/file.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

// A small network and a short run.
std::vector<std::string> small_run(const std::string& pictures, const std::string& run,
                                   std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"--batch", "4", "--sample-steps", "2", "--sample-count", "2"});
  return small_training(pictures, run, more);
}

std::vector<Json> metrics_of(const std::string& run) {
  std::vector<Json> lines;
  std::istringstream text(read_file(run + "/metrics.jsonl"));
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

class Train : public ::testing::Test {
 protected:
  void SetUp() override { make_pictures(pictures_, 6); }

  TemporaryFolder folder_;
  const std::string pictures_ = folder_ / "pictures";
  const std::string run_ = folder_ / "run";
};

TEST_F(Train, LeavesAWholeRun) {
  const Outcome outcome = run_ddpm(
      small_run(pictures_, run_, {"--steps", "4", "--save-every", "2", "--sample-every", "2"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("ddpm sample " + run_ + " --out grid.png"));
  EXPECT_THAT(names_in(run_),
              ElementsAre("checkpoints", "config.json", "data.jsonl", "index.jsonl", "loss.png",
                          "metrics.jsonl", "model.safetensors", "samples"));
  EXPECT_THAT(names_in(run_ + "/samples"), ElementsAre("step-00000002.png", "step-00000004.png"));
  const std::vector<Json> metrics = metrics_of(run_);
  ASSERT_EQ(metrics.size(), 4u);
  EXPECT_EQ(metrics[3]["step"], 4);
  for (const char* key : {"loss", "grad_norm", "lr", "images_per_s"}) {
    EXPECT_TRUE(metrics[3][key].is_number()) << key;
  }
  const Json config = Json::parse(read_file(run_ + "/config.json"));
  EXPECT_EQ(config["dim_mults"], Json({1, 2}));
  EXPECT_EQ(config["version"], DDPM_TEST_VERSION);
}

TEST_F(Train, TrainsAndSamplesANetworkOfLucidrains) {
  const Outcome trained = run_ddpm(
      small_run(pictures_, run_,
                {"--network", "lucidrains", "--heads", "2,3", "--dim-head", "4", "--full-attn",
                 "1,0", "--self-condition", "--learned-sinusoidal-cond", "--dropout", "0.1",
                 "--steps", "3", "--save-every", "2", "--sample-every", "2", "--recompute"}));
  EXPECT_EQ(trained.status, 0) << trained.err;
  const Json config = Json::parse(read_file(run_ + "/config.json"));
  EXPECT_EQ(config["network"], "lucidrains");
  EXPECT_EQ(config["heads"], Json({2, 3}));
  EXPECT_EQ(config["dim_head"], Json({4}));
  EXPECT_EQ(config["full_attn"], Json({1, 0}));
  EXPECT_EQ(config["self_condition"], true);
  EXPECT_EQ(config["dropout"], 0.1);
  EXPECT_FALSE(config.contains("groups"));
  const std::string grid = folder_ / "grid.png";
  const Outcome sampled = run_ddpm({"sample", run_, "--n", "2", "--steps", "3", "--out", grid});
  EXPECT_EQ(sampled.status, 0) << sampled.err;
  EXPECT_TRUE(std::filesystem::exists(grid));
  const Outcome resumed = run_ddpm({"train", "--out", run_, "--resume", "--steps", "4"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  const Outcome again =
      run_ddpm({"train", "--out", folder_ / "a", "--config", run_ + "/config.json"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(Json::parse(read_file(folder_ / "a/config.json"))["heads"], config["heads"]);
  expect_refused(small_run(pictures_, folder_ / "b", {"--network", "lucidrains", "--groups", "2"}),
                 2, "does not go with --network lucidrains");
  const Outcome variance = run_ddpm(
      small_run(pictures_, folder_ / "c", {"--network", "lucidrains", "--learned-variance"}));
  EXPECT_EQ(variance.status, 0) << variance.err;
}

TEST_F(Train, NamesDamagedPictures) {
  write_file_atomic(pictures_ + "/broken.png", "\x89PNG\r\n\x1a\nthat is all");
  const Outcome outcome = run_ddpm(small_run(pictures_, run_, {"--steps", "1"}));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("6 pictures of 8x8"));
  EXPECT_THAT(outcome.err, HasSubstr("skipped 1 file:\n  " + pictures_ + "/broken.png: "));
}

TEST_F(Train, WritesPlainLinesToAFile) {
  const Outcome outcome = run_ddpm(small_run(pictures_, run_, {"--steps", "3"}));
  EXPECT_THAT(outcome.err, HasSubstr("\nstep 1/3  loss "));
  EXPECT_THAT(outcome.err, HasSubstr("\nstep 3/3  loss "));
  EXPECT_THAT(outcome.err, HasSubstr(" images/s"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\r")));
}

TEST_F(Train, DrawsABarOnATerminal) {
  const Outcome outcome = ddpm_on_terminal(small_run(pictures_, run_, {"--steps", "3"}));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("\r["));
  EXPECT_THAT(outcome.out, HasSubstr("100% step 3/3  loss "));
}

TEST_F(Train, CtrlCSavesAndResumeContinues) {
  Program program(small_run(pictures_, run_, {"--steps", "1000000", "--sample-every", "0"}));
  const std::string metrics = run_ + "/metrics.jsonl";
  for (int i = 0; i < 6000; ++i) {  // a minute
    if (std::filesystem::exists(metrics) && metrics_of(run_).size() > 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  program.signal(SIGINT);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.status, 130) << stopped.err;
  EXPECT_THAT(stopped.out, HasSubstr("ddpm train --out " + run_ + " --resume"));
  const int64_t done = metrics_of(run_).back()["step"];
  EXPECT_GE(done, 2);

  const Outcome resumed =
      run_ddpm({"train", "--out", run_, "--resume", "--steps", std::to_string(done + 2)});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("continues after step " + std::to_string(done)));
  EXPECT_EQ(metrics_of(run_).back()["step"], done + 2);
}

TEST_F(Train, AResumedRunMayComputeABatchInOtherParts) {
  const Outcome first = run_ddpm(small_training(
      pictures_, run_,
      {"--batch", "6", "--micro-batch", "5", "--steps", "2", "--sample-every", "0"}));
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(
      run_ddpm({"train", "--out", run_, "--resume", "--steps", "3", "--micro-batch", "4"}).status,
      0);
  for (const char* other : {"0", "2"}) {
    expect_refused({"train", "--out", run_, "--resume", "--steps", "4", "--micro-batch", other}, 2,
                   "micro_batch = 4");
  }
}

TEST_F(Train, FlagsWinOverTheConfigFile) {
  const std::string config = folder_ / "config.json";
  write_file_atomic(config, R"({"steps": 3, "dim": 8, "dim_mults": [1], "version": "of a run"})");
  const Outcome outcome = run_ddpm({"train", "--data", pictures_, "--out", run_, "--config", config,
                                    "--size", "8", "--steps", "2", "--sample-every", "0"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Json written = Json::parse(read_file(run_ + "/config.json"));
  EXPECT_EQ(written["steps"], 2);
  EXPECT_EQ(written["dim_mults"], Json({1}));
}

TEST_F(Train, ARunsOwnConfigFileStartsAnotherWithTheSameBits) {
  ASSERT_EQ(run_ddpm(small_run(pictures_, run_, {"--steps", "2"})).status, 0);
  const std::string again = folder_ / "again";
  const Outcome outcome = run_ddpm({"train", "--config", run_ + "/config.json", "--out", again});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(read_file(again + "/model.safetensors"), read_file(run_ + "/model.safetensors"));
}

TEST_F(Train, ResumeOrStartDoesWhichIsPossible) {
  const std::vector<std::string> words =
      small_run(pictures_, run_, {"--steps", "2", "--resume-or-start"});
  EXPECT_EQ(run_ddpm(words).status, 0);
  EXPECT_EQ(metrics_of(run_).back()["step"], 2);
  const Outcome again = run_ddpm(small_run(pictures_, run_, {"--steps", "4", "--resume-or-start"}));
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("continues after step 2"));
}

TEST_F(Train, ChangedPicturesAreRefusedUnlessAccepted) {
  ASSERT_EQ(run_ddpm(small_run(pictures_, run_, {"--steps", "2"})).status, 0);
  std::filesystem::remove(pictures_ + "/3.png");
  const std::vector<std::string> words = {"train", "--out", run_, "--resume", "--steps", "3"};
  expect_refused(words, 2, "1 file removed (3.png)");
  std::vector<std::string> accepting = words;
  accepting.push_back("--accept-changed-data");
  EXPECT_EQ(run_ddpm(accepting).status, 0);
}

TEST_F(Train, AMistakeLeavesNoRunBehind) {
  expect_refused(small_run(folder_ / "absent", run_ + "/deep"), 1, "absent");
  EXPECT_FALSE(std::filesystem::exists(run_));
}

TEST_F(Train, ARunIsUsedByOneTrainingAtATime) {
  Program first(small_run(pictures_, run_, {"--steps", "1000000", "--sample-every", "0"}));
  // Written last when a run starts.
  for (int i = 0; i < 6000 && !std::filesystem::exists(run_ + "/data.jsonl"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  expect_refused(small_run(pictures_, run_), 2, "is in use by process");
  expect_refused({"train", "--out", run_, "--resume"}, 2, "is in use by process");
  first.signal(SIGKILL);
  first.wait();
  const Outcome resumed = run_ddpm({"train", "--out", run_, "--resume", "--steps", "2"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
}

TEST_F(Train, ResumesADataFolderWhoseNameIsNotUtf8) {
  const std::string odd = folder_ / "photos_\xe9t\xe9";
  std::filesystem::rename(pictures_, odd);
  ASSERT_EQ(run_ddpm(small_run(odd, run_, {"--steps", "1"})).status, 0);
  const Outcome resumed = run_ddpm({"train", "--out", run_, "--resume", "--steps", "2"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
}

TEST_F(Train, ResumesFromAnotherWorkingDirectory) {
  Program started(small_run("pictures", run_, {"--steps", "1"}), {.prepare = [&] {
                    if (chdir(folder_.path().c_str()) != 0) _exit(126);
                  }});
  ASSERT_EQ(started.wait().status, 0);
  const Outcome resumed = run_ddpm({"train", "--out", run_, "--resume", "--steps", "2"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  std::filesystem::rename(pictures_, folder_ / "moved");
  expect_refused({"train", "--out", run_, "--resume", "--steps", "3"}, 1, "--data");
}

TEST_F(Train, RefusesAConfigFileThatCannotBeMeant) {
  const std::string config = folder_ / "config.json";
  const std::vector<std::string> words = small_run(pictures_, run_, {"--config", config});
  expect_refused(words, 1, config);
  write_file_atomic(config, R"({"step": 3})");
  expect_refused(words, 2, "sets 'step', which is not an option; did you mean steps?");
  write_file_atomic(config, R"({"steps": "many"})");
  expect_refused(words, 2, "steps is \"many\", which is not a whole number");
  write_file_atomic(config, "{");
  expect_refused(words, 1, "not valid JSON");
}

TEST_F(Train, RefusesPicturesThatAreNotThere) {
  expect_refused({"train", "--out", run_}, 2, "no data given");
  expect_refused(small_run(folder_ / "absent", run_), 1, "no such folder");
  make_folder(folder_ / "empty");
  expect_refused(small_run(folder_ / "empty", run_), 1, folder_ / "empty");
  expect_refused(small_run("emoji:nothing-such", run_), 2, "nothing-such");
}

TEST_F(Train, RefusesOptionsThatCannotWork) {
  expect_refused(small_run(pictures_, run_, {"--dim-mults", "1,2,4,8,16"}), 2, "--dim-mults");
  const auto with = [&](const std::string& flag, const std::string& value) {
    std::vector<std::string> words = {"train", "--data", pictures_, "--out", run_};
    words.insert(words.end(), {flag, value});
    return words;
  };
  expect_refused(
      {"train", "--data", pictures_, "--out", run_, "--size", "30", "--dim-mults", "1,2,4"}, 2,
      "28 or 32 would work");
  expect_refused(with("--size", "28x"), 2, "28x");
  expect_refused(with("--groups", "7"), 2, "7");
  expect_refused(with("--schedule", "cosin"), 2, "choose linear, cosine");
  expect_refused(with("--loss", "l3"), 2, "mse, l1 or huber");
  expect_refused(with("--channels", "2"), 2, "2");
  expect_refused(with("--background", "whitish"), 2, "whitish");
  expect_refused(with("--steps", "0"), 2, "steps");
  expect_refused(with("--batch", "0"), 2, "batch");
  expect_refused(with("--threads", "-1"), 2, "threads");
  EXPECT_FALSE(std::filesystem::exists(run_ + "/metrics.jsonl"));
}

TEST_F(Train, RefusesToMixRuns) {
  expect_refused({"train", "--out", run_, "--resume"}, 1, "no run to resume");
  ASSERT_EQ(run_ddpm(small_run(pictures_, run_, {"--steps", "1"})).status, 0);
  expect_refused(small_run(pictures_, run_, {"--steps", "1"}), 2, "already holds a run");
  expect_refused({"train", "--out", run_, "--resume", "--steps", "2", "--dim", "16"}, 2, "dim = 8");
}

TEST_F(Train, AFileInTheWayIsAnError) {
  write_file_atomic(run_, "not a folder");
  expect_refused(small_run(pictures_, run_), 1, run_);
}

TEST_F(Train, AReadOnlyFolderIsAnError) {
  make_folder(run_);
  std::filesystem::permissions(
      run_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  Program program(small_run(pictures_, run_), {.prepare = [] {
                    if (geteuid() == 0 && setuid(65534) != 0)
                      _exit(126);  // root may write anywhere
                  }});
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(run_));
}

TEST_F(Train, AFullDiskKeepsTheLastCheckpoint) {
  ASSERT_EQ(run_ddpm(small_run(pictures_, run_, {"--steps", "2", "--sample-every", "0"})).status,
            0);
  const std::string model = read_file(run_ + "/model.safetensors");
  // Writing stops somewhere inside the file, as on a full disk.
  Program program({"train", "--out", run_, "--resume", "--steps", "4"}, {.prepare = [] {
                    const rlimit limit{100'000, 100'000};
                    ::signal(SIGXFSZ, SIG_IGN);
                    setrlimit(RLIMIT_FSIZE, &limit);
                  }});
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("step-00000004.safetensors"));
  EXPECT_THAT(names_in(run_ + "/checkpoints"), ElementsAre("step-00000002.safetensors"));
  EXPECT_EQ(read_file(run_ + "/model.safetensors"), model);
  EXPECT_EQ(run_ddpm({"train", "--out", run_, "--resume", "--steps", "3"}).status, 0);
}

// "99960 steps will take about 12 min, until 17:40"
TEST(ExpectedEnd, IsToldAfterTwentySteps) {
  const TemporaryFolder folder;
  make_pictures(folder / "pictures", 3);
  Program program(small_training(folder / "pictures", folder / "run",
                                 {"--steps", "100000000", "--batch", "1", "--timesteps", "10"}));
  const auto told = [&] {
    return program.said().find("steps will take about ") != std::string::npos;
  };
  for (int i = 0; i < 2000 && !told(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  program.signal(SIGTERM);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err,
              ::testing::ContainsRegex("9999[0-9]+ steps will take about [0-9]+ (days|h) .*, "
                                       "until .*[0-9]+:[0-9][0-9]\n"));
}

}  // namespace
}  // namespace ddpm::test
