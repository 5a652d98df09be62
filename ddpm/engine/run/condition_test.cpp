// Runs whose network is shown a part of each picture.
#include <gmock/gmock.h>

#include "ddpm/data/condition.h"
#include "ddpm/data/dataset.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/run/run_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using test::refusal;
using ::testing::HasSubstr;

class ConditionedRun : public test::Resume {
 protected:
  // Another picture for each of the six, named alike.
  void draw_conditions(const std::string& folder, int add = 0) {
    make_folder(folder_ / folder);
    for (int k = 0; k < 6; ++k) {
      Tensor picture({9, 9, 1}, DType::kUInt8);
      for (int64_t i = 0; i < picture.elements(); ++i)
        picture.u8()[i] = static_cast<uint8_t>(30 * k + i % 5 + add);
      write_png(folder_ / (folder + "/" + std::to_string(k) + ".png"), picture);
    }
  }
};

TEST_F(ConditionedRun, AnInterruptedOneEndsWithTheSameFiles) {
  draw_conditions("edges");
  for (const std::string condition : {"downscale:2", "grey", "edges"}) {
    SCOPED_TRACE(condition);
    fs::remove_all(folder_ / "a");
    options_.data.condition = condition == "edges" ? folder_ / "edges" : condition;
    options_.data.flip = true;
    const auto whole = files_of_whole_run();
    RunObserver observer;
    observer.stepped = [&](const RunMetrics& metrics) { stop_ = metrics.step == 4; };
    EXPECT_FALSE(run("a", false, observer).finished);
    expect_to_go_on_to(whole);
    EXPECT_EQ(load_model(folder_ / "a").config.condition,
              condition == "edges" ? "pairs" : condition);
  }
}

TEST_F(ConditionedRun, TheConditionStays) {
  options_.data.condition = "downscale:2";
  run("a");
  for (const char* other : {"downscale:4", "grey", "none"}) {
    options_.data.condition = other;
    EXPECT_THAT(refusal([&] { resume(); }), HasSubstr(R"(condition = "downscale:2")")) << other;
  }
}

TEST_F(ConditionedRun, TheFolderOfConditionsMayMoveButNotChange) {
  draw_conditions("edges");
  options_.data.condition = folder_ / "edges";
  run("a");
  const auto before = files();
  fs::rename(folder_ / "edges", folder_ / "moved");
  EXPECT_THROW(resume(), Error);
  options_.data.condition = folder_ / "moved";
  EXPECT_TRUE(resume().finished);
  fs::rename(folder_ / "moved", folder_ / "edges");
  options_.data.condition = folder_ / "edges";
  EXPECT_TRUE(resume().finished);
  EXPECT_EQ(files(), before);
  draw_conditions("edges", 1);
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("6 files changed (condition:0.png"));
  EXPECT_EQ(files(), before);
  EXPECT_TRUE(resume(true).finished);
}

TEST_F(ConditionedRun, ARunWithoutKnowsOfNone) {
  run("a");
  const Model model = load_model(folder_ / "a");
  EXPECT_EQ(model.config.condition, "none");
  EXPECT_EQ(model.config.network.condition_channels(), 0);
}

TEST_F(ConditionedRun, AFolderIsAskedForPicturesWithNames) {
  options_.data.condition = folder_ / "edges";
  draw_conditions("edges");
  options_.data.source = "emoji:cat-face";
  EXPECT_THAT(refusal([&] { run("b"); }), HasSubstr("a folder of pictures has"));
  EXPECT_FALSE(exists(folder_ / "b"));
}

TEST_F(ConditionedRun, AProgramsPicturesMayBringTheirOwn) {
  const std::vector<uint8_t> pixels(6 * 8 * 8 * 3, 90), guides(6 * 8 * 8, 120);
  const auto plain = array_pictures(pixels, {6, 8, 8, 3});
  const auto pairs = paired_pictures(plain, array_pictures(guides, {6, 8, 8, 1}));
  options_.data = {};
  {
    const auto run = Run::create(folder_ / "own", options_, pairs);
    while (!run->done()) run->step();
    EXPECT_TRUE(run->finish());
    EXPECT_EQ(run->config().condition, "pairs");
    EXPECT_EQ(run->config().network.condition_channels(), 1);
    GenerateOptions request{.count = 2, .sampling = {.steps = 2}};
    request.condition = Tensor::zeros({1, 8, 8, 1});
    const Tensor drawn = run->sample(request);
    EXPECT_EQ(drawn.shape(), (Shape{2, 8, 8, 3}));
    EXPECT_THROW(run->sample({.count = 2, .sampling = {.steps = 2}}), UsageError);
  }
  options_.data.condition = "grey";
  EXPECT_THAT(refusal([&] { Run::create(folder_ / "b", options_, pairs); }),
              HasSubstr("conditions of their own"));
  EXPECT_NO_THROW(Run::create(folder_ / "c", options_, plain)->step());
  options_.data.condition = folder_ / "edges";
  EXPECT_THROW(Run::create(folder_ / "d", options_, plain), UsageError);
}

}  // namespace
}  // namespace ddpm
