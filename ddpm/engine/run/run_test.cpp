#include "ddpm/engine/run/run.h"
#include "ddpm/engine/model.h"

#include "ddpm/base/options.h"
#include "ddpm/engine/run/run_test_support.h"
#include "ddpm/io/safetensors.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::RunTest;

TEST_F(RunTest, LeavesEverythingItPromises) {
  const test::Outcome result = run("a");
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.steps, 6);
  for (const char* file : {"config.json", "metrics.jsonl", "model.safetensors", "loss.png",
                           "samples/step-00000004.png", "samples/step-00000006.png",
                           "checkpoints/step-00000006.safetensors"}) {
    EXPECT_TRUE(fs::exists(folder_ / ("a/" + std::string(file)))) << file;
  }
  ASSERT_EQ(metrics("a").size(), 6u);
  const JsonObject line = JsonObject::parse(metrics("a")[2], "line");
  EXPECT_EQ(*line.find("step"), "3");
  for (const char* key : {"loss", "grad_norm", "lr", "images_per_s"})
    EXPECT_NE(line.find(key), nullptr) << key;
  const Model model = load_model(folder_ / "a");
  EXPECT_EQ(model.config.height, 8);
  EXPECT_EQ(model.trained_steps, 6);
  EXPECT_EQ(read_run_options(folder_ / "a").data.source, options_.data.source);
}

TEST_F(RunTest, AResumedRunEndsInTheBitsOfAnUninterruptedOne) {
  run("whole");
  RunObserver observer;
  observer.stepped = [&](const RunMetrics& step) { stop_ = step.step == 2; };
  const test::Outcome first = run("parts", false, observer);
  EXPECT_FALSE(first.finished);
  EXPECT_EQ(first.steps, 2);
  stop_ = false;
  EXPECT_TRUE(run("parts", true).finished);
  EXPECT_EQ(weights("parts"), weights("whole"));
  EXPECT_EQ(metrics("parts").size(), 6u);
}

TEST_F(RunTest, LinesOfStepsThatWereLostAreDroppedOnResume) {
  run("a");
  const std::string path = folder_ / "a/metrics.jsonl";
  write_file_atomic(path, read_file(path) + "{\"step\": 7, \"loss\": 1}\n{\"step\": 8, \"lo");
  options_.optimizer.steps = 8;
  run("a", true);
  ASSERT_EQ(metrics("a").size(), 8u);
  EXPECT_EQ(metrics("a")[6].find("\"loss\":1}"), std::string::npos);
}

TEST_F(RunTest, ARunIsNotOverwrittenNorResumedWithAnotherNetwork) {
  run("a");
  EXPECT_THROW(run("a"), UsageError);
  test::unet_of(options_).dim = 16;
  EXPECT_THROW(run("a", true), UsageError);
  EXPECT_THROW(run("nothing", true), Error);
}

TEST_F(RunTest, AFailureLeavesTheNewestCheckpointWhole) {
  RunObserver observer;
  observer.stepped = [](const RunMetrics& step) {
    if (step.step == 5) fail("test", "the power went");
  };
  EXPECT_THROW(run("a", false, observer), Error);
  EXPECT_EQ(newest_checkpoint(folder_ / "a"), checkpoint_path(folder_ / "a", 3));
  EXPECT_NO_THROW(SafetensorsFile::open(checkpoint_path(folder_ / "a", 3)));
  EXPECT_TRUE(run("a", true).finished);
}

TEST_F(RunTest, MistakesAreToldBeforeAnythingIsWritten) {
  options_.data.size = "9";
  EXPECT_THROW(run("a"), UsageError);
  options_.data.size = "8";
  options_.data.source = folder_ / "absent";
  EXPECT_THROW(run("a"), Error);
  make_folder(folder_ / "empty");
  options_.data.source = folder_ / "empty";
  EXPECT_THROW(run("a"), Error);
  EXPECT_FALSE(fs::exists(folder_ / "a/config.json"));
}

TEST_F(RunTest, AFileInTheWayIsAnError) {
  write_file_atomic(folder_ / "file", "x");
  EXPECT_THROW(run("file"), Error);
}

}  // namespace
}  // namespace ddpm
