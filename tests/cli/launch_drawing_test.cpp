// Commands that draw pictures, through ddpm launch.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "ddpm/base/file.h"
#include "tests/cli/launched.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;

class LaunchDrawingTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    make_model(model_);
  }

  // On two ranks. They draw when this returns.
  std::unique_ptr<Program> start_long() const {
    auto program = std::make_unique<Program>(
        launched({"-n", "2"}, {"sample", model_, "--n", "20000", "--out", out_}));
    EXPECT_TRUE(wait_until([&] { return program->said().find("step 0/") != std::string::npos; }));
    return program;
  }

  const std::string model_ = folder_ / "model.safetensors";
  const std::string out_ = folder_ / "out.png";
};

TEST_F(LaunchDrawingTest, GivesTheFilesOfOneProcess) {
  const std::string alone = folder_ / "alone.png";
  const auto sample = [&](const std::string& out) {
    return std::vector<std::string>{"sample", model_,    "--n", "5",     "--batch",
                                    "2",      "--steps", "2",   "--out", out};
  };
  ASSERT_EQ(run_ddpm(sample(alone)).status, 0);
  const Outcome outcome = run_ddpm(launched({"-n", "2"}, sample(out_)));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(read_file(out_) == read_file(alone));
  EXPECT_EQ(outcome.out, "wrote " + out_ + "\n");
}

TEST_F(LaunchDrawingTest, ASignalEndsAllAtOnce) {
  const auto program = start_long();
  program->signal(SIGINT);
  const Outcome outcome = program->wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  const size_t line = outcome.err.find("ddpm: ");
  EXPECT_EQ(outcome.err.substr(std::min(line, outcome.err.size())), "ddpm: interrupted\n");
  EXPECT_FALSE(exists(out_));
}

TEST_F(LaunchDrawingTest, ALostRankIsNamedAndEndsAll) {
  const auto program = start_long();
  signal_rank(1, SIGKILL);
  const Outcome outcome = program->wait();
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ddpm: [launch] rank 1 (host "));
  EXPECT_THAT(outcome.err, HasSubstr(") was lost\n"));
  EXPECT_FALSE(exists(out_));
}

}  // namespace
}  // namespace ddpm::test
