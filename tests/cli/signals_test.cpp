// Signals that end the program, and the files that it leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

// Waits until the condition holds. Returns false after a minute.
bool wait_until(const std::function<bool()>& there) {
  for (int i = 0; i < 6000 && !there(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return there();
}

class Signals : public ::testing::Test {
 protected:
  void SetUp() override { make_pictures(pictures_, 6); }

  // A training that by default never ends.
  std::vector<std::string> training(const std::string& steps = "1000000",
                                    const std::string& size = "8", const std::string& dim = "8",
                                    const std::string& batch = "4") const {
    return {"train", "--recipe",  "tutorial", "--data",  pictures_, "--out",
            run_,    "--size",    size,       "--dim",   dim,       "--dim-mults",
            "1,2",   "--batch",   batch,      "--steps", steps,     "--sample-every",
            "0",     "--threads", "1"};
  }
  bool steps_done() const {
    std::error_code error;
    return std::filesystem::file_size(run_ + "/metrics.jsonl", error) > 0 && !error;
  }
  void expect_saved(const Outcome& outcome, const std::string& what) const {
    EXPECT_EQ(outcome.status, 130) << what << ": " << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("everything is saved")) << what;
    EXPECT_EQ(names_in(run_ + "/checkpoints").size(), 1u) << what;
    EXPECT_TRUE(std::filesystem::exists(run_ + "/model.safetensors")) << what;
  }

  TemporaryFolder folder_;
  const std::string pictures_ = folder_ / "pictures";
  const std::string run_ = folder_ / "run";
};

TEST_F(Signals, EachSavesAndStopsATraining) {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU, SIGVTALRM,
                           SIGPROF, SIGIO, SIGPWR, SIGXFSZ}) {
    std::filesystem::remove_all(run_);
    Program program(training());
    ASSERT_TRUE(wait_until([&] { return steps_done(); }));
    program.signal(signal);
    const Outcome outcome = program.wait();
    expect_saved(outcome, strsignal(signal));
    EXPECT_THAT(outcome.err, HasSubstr(": stopping after this step and saving"))
        << strsignal(signal);
  }
}

TEST_F(Signals, IgnoredOnesStayIgnored) {
  constexpr int kIgnored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1};
  Program program(training(), {.prepare = [&] {
                    for (const int signal : kIgnored) ::signal(signal, SIG_IGN);
                  }});
  ASSERT_TRUE(wait_until([&] { return steps_done(); }));
  for (const int signal : kIgnored) program.signal(signal);
  // If the program reacted to one of them, it would stop earlier and name that signal.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  program.signal(SIGUSR2);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("ddpm: SIGUSR2: stopping"));
}

TEST_F(Signals, ALimitOnProcessorTimeSavesAndStops) {
  // The kernel repeats this signal every second, even while the program saves.
  Program program(training(), {.prepare = [] {
                    const rlimit limit{1, 60};
                    setrlimit(RLIMIT_CPU, &limit);
                  }});
  expect_saved(program.wait(), "RLIMIT_CPU");
}

TEST_F(Signals, ALimitOnFilesFailsTheSaveAndKeepsTheLast) {
  ASSERT_EQ(run_ddpm(training("2")).status, 0);
  Program program({"train", "--out", run_, "--resume", "--steps", "4"}, {.prepare = [] {
                    const rlimit limit{100'000, 100'000};
                    setrlimit(RLIMIT_FSIZE, &limit);
                  }});
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("File too large; the limit on the size of files (ulimit -f)"));
  EXPECT_THAT(outcome.err,
              HasSubstr("the last save is kept, to continue from it: ddpm train --out " + run_ +
                        " --resume\n"));
  EXPECT_THAT(names_in(run_ + "/checkpoints"), ElementsAre("step-00000002.safetensors"));
}

TEST_F(Signals, HangUpsAndPairsFromOneSenderAreOneRequest) {
  Program program(training());
  ASSERT_TRUE(wait_until([&] { return steps_done(); }));
  for (int i = 0; i < 3; ++i) program.signal(SIGHUP);   // a closed terminal sends several
  for (int i = 0; i < 2; ++i) program.signal(SIGTERM);  // timeout: to the process, to its group
  expect_saved(program.wait(), "several at once");
}

// A step takes many seconds here, and the first Ctrl-C waits for its end.
TEST_F(Signals, ASecondCtrlCEndsAtOnce) {
  Program program(training("9", "64", "128", "64"));
  // The last line before the first step.
  ASSERT_TRUE(wait_until([&] { return program.said().find("Ctrl-C saves") != std::string::npos; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  program.signal(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  program.signal(SIGINT);
  const Clock::time_point start = Clock::now();
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 128 + SIGINT) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(1));
}

TEST_F(Signals, ATrainingThatDrawsAGridAnswersAtOnce) {
  std::vector<std::string> words = training();
  *std::next(std::find(words.begin(), words.end(), "--sample-every")) = "1";
  words.insert(words.end(), {"--log-every", "1", "--sample-count", "64", "--sample-steps", "1000"});
  Program program(words);
  ASSERT_TRUE(wait_until([&] { return steps_done(); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const Clock::time_point start = Clock::now();
  program.signal(SIGINT);
  expect_saved(program.wait(), "while a grid is drawn");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(1));
  EXPECT_THAT(names_in(run_ + "/samples"), IsEmpty());
  EXPECT_THAT(names_in(run_ + "/checkpoints"), ElementsAre("step-00000001.safetensors"));
}

TEST_F(Signals, WhilePicturesAreReadNothingIsWritten) {
  const std::string large = pictures_ + "/large";
  write_png(large + ".png", to_bytes(Tensor::zeros({3000, 3000, 3})));
  for (int i = 0; i < 60; ++i) {  // which take a while
    std::filesystem::create_hard_link(large + ".png", large + std::to_string(i) + ".png");
  }
  Program program(training());
  ASSERT_TRUE(wait_until([&] { return program.said().find("picture ") != std::string::npos; }));
  program.signal(SIGTERM);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("interrupted while reading pictures; nothing was written"));
  EXPECT_FALSE(std::filesystem::exists(run_));
}

TEST_F(Signals, AClosedTerminalSavesATraining) {
  const Outcome outcome =
      on_closing_terminal(training(), [&] { return wait_until([&] { return steps_done(); }); });
  EXPECT_EQ(outcome.status, 130);
  EXPECT_EQ(names_in(run_ + "/checkpoints").size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(run_ + "/model.safetensors"));
}

TEST_F(Signals, UnderNohupAClosedTerminalEndsNothing) {
  const Outcome outcome = on_closing_terminal(
      training("300"), [&] { return wait_until([&] { return steps_done(); }); },
      [] { ::signal(SIGHUP, SIG_IGN); });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(std::filesystem::exists(run_ + "/checkpoints/step-00000300.safetensors"));
}

class SampleSignals : public Signals {
 protected:
  void SetUp() override { make_model(model_); }
  // Starts work that takes long. When this returns, its temporary file exists.
  std::unique_ptr<Program> start() const {
    auto program = std::make_unique<Program>(
        std::vector<std::string>{"sample", model_, "--n", "512", "--size", "64", "--batch", "512",
                                 "--out", out_ + "/grid.png"});
    EXPECT_TRUE(wait_until([&] {
      std::error_code error;
      return std::filesystem::is_directory(out_, error) && !std::filesystem::is_empty(out_, error);
    }));
    return program;
  }
  const std::string model_ = folder_ / "model.safetensors";
  const std::string out_ = folder_ / "out";
};

TEST_F(SampleSignals, EndItAtOnceAndLeaveNothing) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    const std::unique_ptr<Program> program = start();
    const Clock::time_point begin = Clock::now();
    program->signal(signal);
    const Outcome outcome = program->wait();
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(1));
    EXPECT_EQ(outcome.status, 130) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("ddpm: interrupted\n"));
    EXPECT_THAT(names_in(out_), IsEmpty());
  }
}

TEST_F(SampleSignals, WhatAKilledOneLeftIsRemovedByTheNext) {
  start()->signal(SIGKILL);
  EXPECT_EQ(names_in(out_).size(), 1u);
  ASSERT_EQ(
      run_ddpm({"sample", model_, "--n", "1", "--steps", "1", "--out", out_ + "/grid.png"}).status,
      0);
  EXPECT_THAT(names_in(out_), ElementsAre("grid.png"));
}

}  // namespace
}  // namespace ddpm::test
