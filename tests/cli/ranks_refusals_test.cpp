// What several ranks that mpirun started refuse, and warn of.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "ddpm/base/file.h"
#include "tests/cli/launched.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RanksRefusal : public LaunchTest {
 protected:
  // How many lines the ranks have printed.
  static int lines_of_ranks(const std::string& text) {
    int lines = 0;
    for (size_t at = text.find("ddpm: "); at != text.npos; at = text.find("ddpm: ", at + 1))
      ++lines;
    return lines;
  }
  static void expect_said_once(const Outcome& outcome, int status, const std::string& words) {
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(words));
    EXPECT_EQ(lines_of_ranks(outcome.err), 1) << outcome.err;
  }
  // A short training with the default threads. `words` come between mpirun and the program.
  Outcome train_with(int ranks, const std::vector<std::string>& words) const {
    std::vector<std::string> launcher = {DDPM_MPIRUN, "--oversubscribe",    "--bind-to", "none",
                                         "-n",        std::to_string(ranks)};
    launcher.insert(launcher.end(), words.begin(), words.end());
    return Program(small_training(pictures_, run_, {"--steps", "1", "--sample-every", "0"}),
                   {.launcher = launcher})
        .wait();
  }
};

TEST_F(RanksRefusal, AnErrorOfAllRanksIsSaidOnce) {
  const std::vector<std::string> words = {"train", "--data", folder_ / "nothere", "--out", run_};
  const Outcome alone = run_ddpm(words);
  expect_said_once(by_mpirun(words)->wait(), alone.status, alone.err);
}

TEST_F(RanksRefusal, WrongFlagsAreSaidOnce) {
  expect_said_once(by_mpirun({"train", "--nothing"})->wait(), 2, "there is no flag --nothing");
}

TEST_F(RanksRefusal, WrongFlagsOfAnotherRankAreSaid) {
  const std::string script =
      "if [ $OMPI_COMM_WORLD_RANK = 1 ]; then exec \"$0\" train --nothing; fi; exec \"$0\" \"$@\"";
  Program program(training("10"), {.launcher = {DDPM_MPIRUN, "--oversubscribe", "--bind-to", "none",
                                                "-n", "2", "sh", "-c", script}});
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ddpm: [train] there is no flag --nothing"));
}

TEST_F(RanksRefusal, HelpIsSaidOnce) {
  const Outcome outcome = by_mpirun({"train", "--help"})->wait();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, run_ddpm({"train", "--help"}).out);
}

TEST_F(RanksRefusal, CommandsThatKnowNoRanksRefuseThem) {
  const std::string grid = folder_ / "grid.png";
  expect_said_once(by_mpirun({"data", pictures_, "--out", grid})->wait(), 2,
                   "data runs as one process, but the launcher started 2");
  EXPECT_FALSE(exists(grid));
}

// As under srun, which does not tell how many ranks are on a host.
TEST_F(RanksRefusal, RanksOfAHostShareItsCores) {
  const Outcome outcome = train_with(2, {"env", "-u", "OMPI_COMM_WORLD_RANK", "-u",
                                         "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS=2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const int64_t share = std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN) / 2);
  EXPECT_THAT(outcome.err, HasSubstr(fmt::format("2 ranks with {} thread", share)));
}

TEST_F(RanksRefusal, BoundRanksAreWarned) {
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "there is one core";
  const Outcome bound = train_with(1, {"taskset", "-c", "0"});
  EXPECT_THAT(bound.err, HasSubstr("warning: mpirun has bound each rank to 1 of the "));
  std::filesystem::remove_all(run_);
  EXPECT_THAT(train_with(1, {}).err, Not(HasSubstr("has bound")));
}

}  // namespace
}  // namespace ddpm::test
