// Trainings on several ranks that ddpm launch or mpirun starts, and what becomes of them when ranks
// are killed or stopped.
//
// By default a rank is killed at a few moments. DDPM_TEST_KILLS=20 takes 20 for each rank.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

#ifndef DDPM_MPIRUN
#define DDPM_MPIRUN ""
#endif

namespace ddpm::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kMark = "DDPM_TEST_LAUNCH";

bool wait_until(const std::function<bool()>& there) {
  for (int i = 0; i < 6000 && !there(); ++i) std::this_thread::sleep_for(milliseconds(5));
  return there();
}

// The variables of a process as "NAME=value", each between zero bytes.
std::string environment_of(const fs::path& process) {
  try {
    return '\0' + read_file((process / "environ").string());
  } catch (const Error&) {
    return {};
  }
}

bool has_variable(const std::string& environment, const std::string& name,
                  const std::string& value) {
  return environment.find('\0' + name + '=' + value + '\0') != std::string::npos;
}

class LaunchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access(DDPM_MPIRUN, X_OK) != 0) GTEST_SKIP() << "ddpm was built without MPI";
    if (std::system("mpirun --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no mpirun";
    make_pictures(pictures_, 6);
    setenv(kMark, mark_.c_str(), 1);
    if (geteuid() == 0) {
      setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
      setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
  }
  void TearDown() override {
    for (const char* name : {"DDPM_LOST_AFTER", "DDPM_MPI_PLUGIN", "OMPI_MCA_plm_rsh_agent"})
      unsetenv(name);
    setenv("PATH", path_.c_str(), 1);
    EXPECT_TRUE(wait_until([&] { return processes().empty(); })) << "processes are left";
    for (const pid_t process : processes()) kill(process, SIGKILL);
  }

  // Those that this test started, or only the ones of a rank.
  std::vector<pid_t> processes(int rank = -1) const {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const pid_t process = std::atoi(entry.path().filename().c_str());
      if (process <= 0 || process == getpid()) continue;
      const std::string environment = environment_of(entry.path());
      if (!has_variable(environment, kMark, mark_)) continue;
      if (rank < 0 || has_variable(environment, "OMPI_COMM_WORLD_RANK", std::to_string(rank)))
        found.push_back(process);
    }
    return found;
  }

  // Until the end of the test, `ddpm launch` finds this script as mpirun.
  void use_mpirun(const std::string& script) const {
    const std::string bin = folder_ / "bin", mpirun = bin + "/mpirun";
    make_folder(bin);
    write_file_atomic(mpirun,
                      "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 'mpirun (Open MPI) 4'\n" +
                          script);
    fs::permissions(mpirun, fs::perms::owner_all);
    setenv("PATH", (bin + ":" + path_).c_str(), 1);
  }

  void signal_rank(int rank, int number) const {
    for (const pid_t process : processes(rank)) kill(process, number);
  }

  std::vector<std::string> training(const std::string& steps,
                                    const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"--batch",      "8",  "--steps",        steps,
                                      "--save-every", "10", "--sample-every", "0",
                                      "--threads",    "1"};
    words.insert(words.end(), more.begin(), more.end());
    return small_training(pictures_, run_, words);
  }
  static std::vector<std::string> launched(const std::vector<std::string>& flags,
                                           const std::vector<std::string>& command) {
    std::vector<std::string> words = {"launch"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.emplace_back("--");
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
  // A program that mpirun runs on two ranks.
  static std::unique_ptr<Program> by_mpirun(const std::vector<std::string>& command) {
    return std::make_unique<Program>(
        command, Program::Setting{
                     .launcher = {DDPM_MPIRUN, "--oversubscribe", "--bind-to", "none", "-n", "2"}});
  }

  bool has_saved(const Program& program) const {
    return program.said().find("saved " + run_ + "/checkpoints/") != std::string::npos;
  }
  std::string model() const { return read_file(run_ + "/model.safetensors"); }
  // Of the training of so many steps without any trouble.
  std::string undisturbed(const std::string& steps) {
    EXPECT_EQ(run_ddpm(launched({"-n", "1"}, training(steps))).status, 0);
    std::string all = model();
    fs::remove_all(run_);
    return all;
  }

  TemporaryFolder folder_;
  const std::string path_ = getenv("PATH");
  // The value of kMark in the processes of this test.
  const std::string mark_ = folder_ / "mark";
  const std::string pictures_ = folder_ / "pictures";
  const std::string run_ = folder_ / "run";
};

constexpr const char* kLong = "1000000";

TEST_F(LaunchTest, GoesOnWithoutAKilledRank) {
  const std::string wanted = undisturbed("150");
  for (const int rank : {1, 0}) {
    fs::remove_all(run_);
    Program program(launched({"-n", "2"}, training("150")));
    ASSERT_TRUE(wait_until([&] { return has_saved(program); }));
    signal_rank(rank, SIGKILL);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(fmt::format("ddpm: [launch] rank {} (host ", rank)));
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("was lost; the last checkpoint is good: " + run_),
                                   HasSubstr("starting again on 1 rank (restart 1 of 3)\n"),
                                   Not(HasSubstr("\x1e"))));
    EXPECT_THAT(outcome.out, HasSubstr("Done: 150 steps"));
    EXPECT_EQ(model(), wanted);
  }
}

TEST_F(LaunchTest, EndsWithTooFewRanksAfterOneStopped) {
  setenv("DDPM_LOST_AFTER", "1.5s", 1);
  Program program(launched({"-n", "2", "--min-ranks", "2"}, training(kLong)));
  ASSERT_TRUE(wait_until([&] { return has_saved(program); }));
  signal_rank(1, SIGSTOP);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("has not answered for 1.5 s: the job ends; the last "
                                     "checkpoint is good: " +
                                     run_));
  EXPECT_THAT(outcome.err, HasSubstr("1 rank is left, fewer than --min-ranks 2\n"));
}

TEST_F(LaunchTest, ASignalLetsATrainingSave) {
  for (const int number : {SIGINT, SIGTERM}) {
    fs::remove_all(run_);
    Program program(launched({"-n", "2"}, training(kLong)));
    ASSERT_TRUE(wait_until([&] { return has_saved(program); }));
    program.signal(number);
    const Outcome outcome = program.wait();
    EXPECT_EQ(outcome.status, 130) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("stopping after this step and saving"));
    EXPECT_THAT(outcome.out, HasSubstr("everything is saved"));
  }
}

TEST_F(LaunchTest, SigquitEndsATrainingWithoutASave) {
  Program program(launched({"-n", "2"}, training(kLong)));
  ASSERT_TRUE(wait_until([&] { return has_saved(program); }));
  program.signal(SIGQUIT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ddpm: interrupted\n"));
  EXPECT_THAT(outcome.out, IsEmpty());
}

TEST_F(LaunchTest, ASecondSignalEndsAllAtOnce) {
  // A step takes many seconds.
  Program program(
      launched({"-n", "2"},
               {"train", "--recipe", "tutorial", "--data", pictures_, "--out", run_, "--size", "64",
                "--dim", "32", "--dim-mults", "1,2", "--batch", "128", "--threads", "1"}));
  ASSERT_TRUE(wait_until(
      [&] { return program.said().find("Ctrl-C saves and stops") != std::string::npos; }));
  program.signal(SIGINT);
  std::this_thread::sleep_for(milliseconds(400));
  const auto before = std::chrono::steady_clock::now();
  program.signal(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ddpm: interrupted\n"));
  EXPECT_THAT(processes(), IsEmpty());
}

TEST_F(LaunchTest, IgnoredSignalsStayIgnored) {
  Program program(launched({"-n", "2"}, training(kLong)), {.prepare = [] {
                    for (const int number : {SIGHUP, SIGINT, SIGUSR1}) ::signal(number, SIG_IGN);
                  }});
  ASSERT_TRUE(wait_until([&] { return has_saved(program); }));
  for (const int number : {SIGHUP, SIGINT, SIGUSR1}) program.signal(number);
  // If the program took one of them, it would name that one, and the next would end it at once.
  std::this_thread::sleep_for(milliseconds(300));
  program.signal(SIGTERM);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ddpm: SIGTERM: stopping after this step"));
  EXPECT_THAT(outcome.out, HasSubstr("everything is saved"));
}

TEST_F(LaunchTest, NamesRanksThatNeverStart) {
  const std::string agent = folder_ / "no_login";
  write_file_atomic(agent, "#!/bin/sh\nexec sleep 1000\n");
  fs::permissions(agent, fs::perms::owner_all);
  setenv("OMPI_MCA_plm_rsh_agent", agent.c_str(), 1);
  const Outcome outcome =
      run_ddpm(launched({"--hosts", "far:1,away:2", "--start-timeout", "1s"}, training(kLong)));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("ddpm: [launch] rank 0 (host far), rank 1 (host away) and "
                                     "rank 2 (host away) did not start"));
}

TEST_F(LaunchTest, SaysUsageErrorsOnce) {
  const std::vector<std::string> wrong = training("10", {"--dim", "x"});
  const Outcome outcome = run_ddpm(launched({"-n", "2"}, wrong));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  expect_refused(launched({"-n", "2"}, {"info", "x"}), 2, "info does not use ranks");
  expect_refused(launched({"-n", "2", "--min-ranks", "3"}, training("10")), 2, "--min-ranks 3");
  expect_refused({"launch", "-n", "2"}, 2, "COMMAND ... is required");
}

TEST_F(LaunchTest, SaysWhatIsMissing) {
  setenv("PATH", mark_.c_str(), 1);
  expect_refused(launched({"-n", "2"}, training("10")), 1, "install Debian's package openmpi-bin");
  setenv("PATH", path_.c_str(), 1);
  setenv("DDPM_MPI_PLUGIN", (folder_ / "none.so").c_str(), 1);
  expect_refused(launched({"-n", "2"}, training("10")), 1, "there is no " + folder_ / "none.so");
}

TEST_F(LaunchTest, EndsAnMpirunThatHangsWithoutRanks) {
  use_mpirun("sleep 0.1 &\nexec sleep 1000\n");
  const Outcome outcome = run_ddpm(launched({"-n", "1"}, training("10")));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("rank 0 (host "));
  EXPECT_THAT(outcome.err, HasSubstr("did not start\n"));
}

TEST_F(LaunchTest, StartsAgainAfterRanksHaveEndedAnMpirunThatHangs) {
  use_mpirun(fmt::format(
      "mark() {{ printf '\\036%s %s\\n' $DDPM_LAUNCH \"$*\" >&2; }}\n"
      "mark started 0 a; mark joined 0\n"
      "[ -e {0} ] && mark ends 0 && exit 0\n"
      "touch {0}; mark started 1 a; mark joined 1; mark lost 0 1; mark ends 0 failed\n"
      "kill -KILL $$\n",
      folder_ / "second"));
  const Outcome outcome = run_ddpm(launched({"-n", "2"}, training("10")));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("was lost; nothing was saved yet; starting again on 1 rank "));
}

TEST_F(LaunchTest, MpirunGivesATrainingASecondToSave) {
  const auto program = by_mpirun(training(kLong));
  ASSERT_TRUE(wait_until([&] { return has_saved(*program); }));
  program->signal(SIGINT);
  const Outcome outcome = program->wait();
  EXPECT_THAT(outcome.err,
              HasSubstr("ddpm: the job ends (SIGTERM); saving if there is time (mpirun "
                        "gives about a second); the last checkpoint is good: " +
                        run_));
}

// A rank that is killed at any moment leaves a run that goes on to the same bits.
class LaunchKillTest : public LaunchTest, public ::testing::WithParamInterface<int> {};

TEST_P(LaunchKillTest, LeavesAGoodCheckpoint) {
  constexpr const char* kSteps = "150";
  const std::string wanted = undisturbed(kSteps);
  const char* more = getenv("DDPM_TEST_KILLS");
  const int kills = more == nullptr ? 2 : std::atoi(more);
  std::minstd_rand random(static_cast<unsigned>(1 + GetParam()));
  std::uniform_int_distribution<int> moment(0, 1500);
  for (int kill = 0; kill < kills; ++kill) {
    fs::remove_all(run_);
    const int delay = moment(random);
    // mpirun alone sometimes hangs if a rank is killed while it starts.
    Program program(launched({"-n", "2", "--restarts", "0"}, training(kSteps)));
    ASSERT_TRUE(wait_until([&] { return !processes(GetParam()).empty(); }));
    std::this_thread::sleep_for(milliseconds(delay));
    signal_rank(GetParam(), SIGKILL);
    const Outcome killed = program.wait();
    ASSERT_TRUE(wait_until([&] { return processes().empty(); }));
    const Outcome outcome =
        run_ddpm(launched({"-n", "1"}, training(kSteps, {"--resume-or-start"})));
    EXPECT_EQ(outcome.status, 0) << delay << " ms: " << killed.err << outcome.err;
    EXPECT_EQ(model(), wanted) << delay << " ms";
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, LaunchKillTest, ::testing::Values(0, 1));

}  // namespace
}  // namespace ddpm::test
