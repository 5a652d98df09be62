// Trainings on several ranks that ddpm launch or mpirun starts, and what becomes of them when ranks
// are killed or stopped.
//
// By default each rank is killed at one random moment. DDPM_TEST_KILLS=20 takes 20 moments.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "ddpm/base/file.h"
#include "tests/cli/launched.h"

namespace ddpm::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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
  Program program(launched({"-n", "2"}, training(kLong)));
  ASSERT_TRUE(wait_until([&] { return has_saved(program); }));
  program.signal(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ddpm: Ctrl-C: stopping after this step and saving"));
  EXPECT_THAT(outcome.out, HasSubstr("everything is saved"));
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
      run_ddpm(launched({"--hosts", "far:1,away:2", "--start-timeout", "0.2s"}, training(kLong)));
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
  expect_refused(launched({"-n", "100000"}, training("10")), 2, "-n 100000 is more than 16 ranks");
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
  use_mpirun(
      fmt::format("mark() {{ printf '\\036%s %s\\n' $DDPM_LAUNCH \"$*\" >&2; }}\n"
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
  const int kills = more == nullptr ? 1 : std::atoi(more);
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
