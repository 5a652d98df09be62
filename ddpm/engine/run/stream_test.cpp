// A run has the same bits whether its pictures are in memory or in their files, and however often
// it was stopped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "ddpm/data/stream/picture_index.h"
#include "ddpm/engine/run/run_test_support.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::RunTest;
using ::testing::HasSubstr;

class StreamRunTest : public RunTest {
 protected:
  // A hash of the tensors of the newest checkpoint. The options before them tell of the streaming.
  std::string weights(const std::string& name) {
    const std::string text = RunTest::weights(name);
    return hash_hex(text.substr(text.find_first_not_of(' ')));
  }
  // Runs 2 of the steps, then the rest in another session.
  void run_in_parts(const std::string& name) {
    RunObserver observer;
    observer.stepped = [&](const RunMetrics& step) { stop_ = step.step == 2; };
    EXPECT_FALSE(run(name, false, observer).finished);
    stop_ = false;
    EXPECT_TRUE(run(name, true).finished);
  }
};

TEST_F(StreamRunTest, BitsDoNotDependOnStreaming) {
  options_.data.flip = true;
  options_.data.stream = "off";
  run("memory");
  options_.data.stream = "on";
  run("streamed");
  EXPECT_EQ(weights("streamed"), weights("memory"));
  run_in_parts("parts");
  EXPECT_EQ(weights("parts"), weights("memory"));
  // Decoded when needed and kept, because the index knows all files.
  options_.data.stream = "auto";
  run_in_parts("kept");
  EXPECT_EQ(weights("kept"), weights("memory"));
}

TEST_F(StreamRunTest, PicturesThatAreHeldOutAreStreamedToo) {
  options_.data.validation = 0.4;
  options_.run.validate_every = 1;
  options_.data.stream = "off";
  run("memory");
  options_.data.stream = "on";
  run_in_parts("parts");
  EXPECT_EQ(weights("parts"), weights("memory"));
  const auto losses = [&](const std::string& name) {
    std::vector<std::string> values;
    const std::string text = read_file(folder_ / (name + "/metrics.jsonl"));
    for (size_t at = 0; (at = text.find("\"val_loss\":", at)) != std::string::npos; ++at)
      values.push_back(text.substr(at, text.find(',', at) - at));
    return values;
  };
  EXPECT_FALSE(losses("memory").empty());
  EXPECT_EQ(losses("parts"), losses("memory"));
}

TEST_F(StreamRunTest, AResumedRunMayStreamAndStopStreaming) {
  options_.data.stream = "off";
  run("memory");
  RunObserver observer;
  observer.stepped = [&](const RunMetrics& step) { stop_ = step.step % 2 == 0; };
  bool resumed = false;
  for (const char* stream : {"off", "on", "off"}) {
    options_.data.stream = stream;
    stop_ = false;
    run("mixed", resumed, observer);
    resumed = true;
  }
  EXPECT_EQ(weights("mixed"), weights("memory"));
}

// If an observer throws it, the run is as if it had been killed.
struct Killed {};

TEST_F(StreamRunTest, AKilledRunThatStreamsGoesOnToTheSameBits) {
  options_.data.stream = "on";
  run("whole");
  for (const int64_t at : {1, 4}) {
    const std::string name = "killed" + std::to_string(at);
    RunObserver observer;
    observer.stepped = [&](const RunMetrics& step) {
      if (step.step == at) throw Killed();
    };
    EXPECT_THROW(run(name, false, observer), Killed);
    EXPECT_TRUE(run(name, true).finished);
    EXPECT_EQ(weights(name), weights("whole"));
  }
}

TEST_F(StreamRunTest, TheIndexIsKeptAndMendedBesideTheRun) {
  options_.data.stream = "on";
  write_file_atomic(folder_ / "pictures/broken.png", "no picture");
  run("a");
  const std::string path = folder_ / "a/index.jsonl", text = read_file(path);
  const PictureIndex index = index_from_text(text, path);
  ASSERT_EQ(index.pictures.size(), 7u);
  EXPECT_EQ(index.pictures[6].channels, 0);
  EXPECT_THAT(index.pictures[6].reason, HasSubstr("not a PNG"));
  for (const char* damaged : {"", "{\"settings\":", "{\"settings\":\"other\"}\n"}) {
    write_file_atomic(path, damaged);
    ++options_.optimizer.steps;
    run("a", true);
    EXPECT_EQ(read_file(path), text) << damaged;
  }
  fs::remove(path);
  ++options_.optimizer.steps;
  run("a", true);
  EXPECT_EQ(read_file(path), text);
}

TEST_F(StreamRunTest, AFileThatChangesEndsTheTrainingWithItsName) {
  // More than are decoded ahead.
  options_.optimizer.steps = 40;
  options_.run.sample_every = 0;
  options_.data.stream = "on";
  RunObserver observer;
  observer.stepped = [&](const RunMetrics& step) {
    if (step.step == 1) {
      for (int k = 0; k < 6; ++k) draw_picture(std::to_string(k), 3 * k);
    }
  };
  const std::string text = test::message_of([&] { run("a", false, observer); });
  EXPECT_THAT(text, HasSubstr("has changed since the training began"));
  EXPECT_THAT(text, HasSubstr(folder_ / "pictures"));
}

TEST_F(StreamRunTest, WhatWasLearntBeforeAFileWasLostIsSaved) {
  options_.optimizer.steps = 40;
  options_.run.sample_every = 0;
  options_.run.save_every = 100;
  options_.data.stream = "on";
  run("whole");
  std::string warnings;
  RunObserver observer;
  observer.warned = [&](const std::string& text) { warnings += text; };
  observer.stepped = [&](const RunMetrics& step) {
    if (step.step == 1) fs::rename(folder_ / "pictures/3.png", folder_ / "3.png");
  };
  EXPECT_THAT(test::message_of([&] { run("a", false, observer); }), HasSubstr("3.png"));
  EXPECT_THAT(warnings, HasSubstr("is saved; put the pictures back"));
  fs::rename(folder_ / "3.png", folder_ / "pictures/3.png");
  const auto again = Run::resume(folder_ / "a", pictures_from_source());
  EXPECT_GE(again->first_step(), 1);
  while (!again->done()) again->step();
  again->finish();
  EXPECT_EQ(weights("a"), weights("whole"));
}

TEST_F(StreamRunTest, RandomCropsDoNotDependOnStreaming) {
  for (int k = 0; k < 6; ++k) {
    Tensor picture({9, 20, 3}, DType::kUInt8);
    for (int64_t i = 0; i < picture.elements(); ++i)
      picture.u8()[i] = static_cast<uint8_t>(i * (k + 3));
    write_png(folder_ / ("pictures/" + std::to_string(k) + ".png"), picture);
  }
  run("centre");
  options_.data.crop = "random";
  options_.data.stream = "off";
  run("memory");
  EXPECT_NE(weights("memory"), weights("centre"));
  options_.data.stream = "on";
  run_in_parts("parts");
  EXPECT_EQ(weights("parts"), weights("memory"));
  options_.data.crop = "centre";
  ++options_.optimizer.steps;
  EXPECT_THROW(run("parts", true), UsageError);
}

}  // namespace
}  // namespace ddpm
