// Ranks that mpirun starts on this machine.
#include <gmock/gmock.h>

#include "ddpm/comm/job_test_support.h"

namespace ddpm {
namespace {

using test::JobOutcome;
using test::run_ranks;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void expect_success(const JobOutcome& job, int ranks) {
  EXPECT_EQ(job.status, 0) << job.output;
  for (int r = 0; r < ranks; ++r) {
    EXPECT_THAT(job.output,
                HasSubstr("rank " + std::to_string(r) + " of " + std::to_string(ranks) + " ends"));
  }
  EXPECT_THAT(job.left_over, IsEmpty());
}

// How often a text contains words.
int count(const std::string& text, const std::string& words) {
  int times = 0;
  for (size_t at = text.find(words); at != text.npos; at = text.find(words, at + 1)) ++times;
  return times;
}

TEST(Mpi, DoesEveryOperation) {
  for (const int ranks : {2, 3, 4}) expect_success(run_ranks(ranks, {"operations"}), ranks);
}

TEST(Mpi, DoesEveryOperationInPieces) { expect_success(run_ranks(3, {"pieces"}), 3); }

TEST(Mpi, DoesEveryOperationOverSharedMemory) {
  expect_success(run_ranks(2, {"operations"}, {{"OMPI_MCA_btl", "self,vader"}}), 2);
}

TEST(Mpi, OneRankNeedsNoPlugin) {
  expect_success(run_ranks(1, {"operations"}, {{"DDPM_MPI_PLUGIN", "/nowhere.so"}}), 1);
}

// The watches of the ranks that work answer meanwhile.
TEST(Mpi, SlowRankIsNotLost) { expect_success(run_ranks(3, {"slow", "1", "2"}), 3); }

TEST(Mpi, KilledRankEndsTheJob) {
  const JobOutcome job = run_ranks(3, {"kill", "1"});
  EXPECT_NE(job.status, 0);
  EXPECT_THAT(job.output, HasSubstr("rank 1 "));
  EXPECT_LT(job.time.count(), 30);
  EXPECT_THAT(job.left_over, IsEmpty());
}

TEST(Mpi, StoppedRankEndsTheJob) {
  for (const std::string rank : {"0", "2"}) {
    const JobOutcome job = run_ranks(3, {"stop", rank, "3"});
    EXPECT_EQ(job.status, 1);
    const std::string line = "ddpm: rank " + rank + " (host ";
    EXPECT_GE(count(job.output, line), 2) << job.output;
    EXPECT_THAT(job.output, HasSubstr("has not answered for 3 s: the job ends; the last checkpoint "
                                      "is good"));
    EXPECT_LT(job.time.count(), 15);
    EXPECT_THAT(job.left_over, IsEmpty());
  }
}

TEST(Mpi, FailureOfARankIsReportedByAll) {
  const JobOutcome job = run_ranks(3, {"fail", "2"});
  EXPECT_EQ(job.status, 1);
  EXPECT_EQ(count(job.output, "ddpm: [disk] /data is full"), 1) << job.output;
  EXPECT_EQ(count(job.output, "ddpm: rank 2 (host "), 2) << job.output;
  EXPECT_EQ(count(job.output, " failed: [disk] /data is full"), 2) << job.output;
  EXPECT_THAT(job.left_over, IsEmpty());
}

TEST(Mpi, FailureOfAllRanksIsReportedOnce) {
  const JobOutcome job = run_ranks(3, {"refuse"});
  EXPECT_EQ(job.status, 2);
  EXPECT_EQ(count(job.output, "ddpm: ["), 1) << job.output;
  EXPECT_THAT(job.output, HasSubstr("ddpm: [options] --size 0"));
  EXPECT_THAT(job.left_over, IsEmpty());
}

TEST(Mpi, RankThatEndsBeforeMpiStartsEndsTheJob) {
  const JobOutcome job = run_ranks(3, {"before", "1"});
  EXPECT_EQ(job.status, 3) << job.output;
  EXPECT_LT(job.time.count(), 20);
  EXPECT_THAT(job.left_over, IsEmpty());
}

TEST(Mpi, OtherVersionIsRefused) {
  const JobOutcome job = run_ranks(3, {"version", "1"});
  EXPECT_EQ(job.status, 1);
  EXPECT_THAT(job.output, testing::ContainsRegex("9.9.9: rank 1 \\(host [^)]*\\); install"));
  EXPECT_EQ(count(job.output, "ddpm: ["), 1) << job.output;
  EXPECT_THAT(job.left_over, IsEmpty());
}

TEST(Mpi, MissingPluginIsNamed) {
  const JobOutcome job = run_ranks(2, {"operations"}, {{"DDPM_MPI_PLUGIN", "/nowhere.so"}});
  EXPECT_EQ(job.status, 1);
  EXPECT_THAT(job.output, HasSubstr("the plugin for MPI is missing: there is no /nowhere.so;"));
  EXPECT_THAT(job.left_over, IsEmpty());
}

// As if an mpirun of another MPI had started it.
TEST(Mpi, OtherMpiIsRefused) {
  const JobOutcome job =
      test::Job({DDPM_RANK_PROGRAM, "operations"}, {{"PMI_RANK", "2"}, {"PMI_SIZE", "4"}}).wait();
  EXPECT_EQ(job.status, 1);
  EXPECT_THAT(job.output, HasSubstr("started 4 ranks, but "));
  EXPECT_THAT(job.output, HasSubstr(" finds 1; "));
  EXPECT_THAT(job.left_over, IsEmpty());
}

TEST(Mpi, TorchrunIsRefused) {
  const JobOutcome job = test::Job({DDPM_RANK_PROGRAM, "operations"},
                                   {{"TORCHELASTIC_RUN_ID", "none"}, {"WORLD_SIZE", "4"}})
                             .wait();
  EXPECT_EQ(job.status, 2);
  EXPECT_THAT(job.output, HasSubstr("mpirun -n 4 ddpm ..."));
}

// Alone, the program must not load anything of MPI.
TEST(Mpi, AloneWithoutALauncher) {
  const JobOutcome job =
      test::Job({DDPM_RANK_PROGRAM, "operations"}, {{"DDPM_MPI_PLUGIN", "/nowhere.so"}}).wait();
  expect_success(job, 1);
}

}  // namespace
}  // namespace ddpm
