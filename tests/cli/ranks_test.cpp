// Commands that draw pictures, on several processes that mpirun starts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "ddpm/base/file.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

#ifndef DDPM_MPIRUN
#define DDPM_MPIRUN ""
#endif

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DrawingOnRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access(DDPM_MPIRUN, X_OK) != 0) GTEST_SKIP() << "ddpm was built without MPI";
    setenv("XDG_CACHE_HOME", (folder_ / "caches").c_str(), 1);
    make_model(model_);
  }
  void TearDown() override { unsetenv("XDG_CACHE_HOME"); }

  static Program::Setting on_ranks(int count) {
    return {.prepare =
                [] {
                  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
                  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
                  // MPI itself leaks.
                  setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
                },
            .launcher = {DDPM_MPIRUN, "--oversubscribe", "--bind-to", "none", "-n",
                         std::to_string(count)}};
  }
  static Outcome run_on_ranks(int count, const std::vector<std::string>& arguments) {
    return Program(arguments, on_ranks(count)).wait();
  }
  static void expect_same_file(const std::string& file, const std::string& other) {
    EXPECT_TRUE(read_file(file) == read_file(other)) << file << " and " << other << " differ";
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
};

TEST_F(DrawingOnRanks, SampleWritesTheSameFiles) {
  const auto arguments = [&](const std::string& name) {
    return std::vector<std::string>{"sample",       model_,
                                    "--n",          "7",
                                    "--batch",      "2",
                                    "--steps",      "3",
                                    "--out",        folder_ / (name + ".png"),
                                    "--each",       folder_ / name,
                                    "--trajectory", folder_ / (name + ".webp"),
                                    "--tensors",    folder_ / (name + ".safetensors"),
                                    "--every-step"};
  };
  ASSERT_EQ(run_ddpm(arguments("alone")).status, 0);
  const Outcome outcome = run_on_ranks(3, arguments("ranks"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  // 7 pictures are two rounds of three batches.
  EXPECT_THAT(outcome.err, HasSubstr("step 6/6"));
  const size_t wrote = outcome.out.find("wrote ");
  EXPECT_EQ(outcome.out.find(folder_ / "ranks.png"), wrote + 6);
  EXPECT_EQ(outcome.out.find(folder_ / "ranks.png", wrote + 7), std::string::npos)
      << "only rank 0 may print";
  for (const char* suffix : {".png", ".webp", ".safetensors", "/00000.png", "/00006.png"})
    expect_same_file(folder_ / ("alone" + std::string(suffix)),
                     folder_ / ("ranks" + std::string(suffix)));
}

TEST_F(DrawingOnRanks, EvalGivesTheSameFigures) {
  make_pictures(folder_ / "real", 12);
  const std::vector<std::string> arguments = {"eval",    model_, "--data",  folder_ / "real",
                                              "--n",     "9",    "--batch", "2",
                                              "--steps", "3",    "--json"};
  const Outcome alone = run_ddpm(arguments), outcome = run_on_ranks(2, arguments);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, alone.out);
  EXPECT_THAT(outcome.err, HasSubstr("picture 9/9"));
}

TEST_F(DrawingOnRanks, EvalOfAFolderNeedsNoOthers) {
  make_pictures(folder_ / "real", 4);
  const Outcome outcome =
      run_on_ranks(2, {"eval", folder_ / "real", "--data", folder_ / "real", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(DrawingOnRanks, TuneWritesTheSameModel) {
  const auto arguments = [&](const std::string& name) {
    return std::vector<std::string>{"tune",    model_, "--n",   "3",
                                    "--steps", "2",    "--out", folder_ / name};
  };
  ASSERT_EQ(run_ddpm(arguments("alone.safetensors")).status, 0);
  const Outcome outcome = run_on_ranks(2, arguments("ranks.safetensors"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  expect_same_file(folder_ / "alone.safetensors", folder_ / "ranks.safetensors");
}

TEST_F(DrawingOnRanks, ARefusalOfRank0EndsAll) {
  const Outcome outcome =
      run_on_ranks(2, {"sample", model_, "--size", "9", "--out", folder_ / "x.png"});
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("not divisible by 2"));
}

TEST_F(DrawingOnRanks, CtrlCEndsAll) {
  Program program({"sample", model_, "--n", "100000", "--out", folder_ / "x.png"}, on_ranks(2));
  for (int i = 0; i < 600 && program.said().find("step 0/") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  program.signal(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.err, Not(HasSubstr("has not answered")));
  EXPECT_FALSE(exists(folder_ / "x.png"));
}

}  // namespace
}  // namespace ddpm::test
