// Runs that learn classes.
#include <gmock/gmock.h>

#include "ddpm/data/dataset.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/run/run_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::refusal;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Pictures 0 to 5, whose table says "dark", "bright" and nothing.
class Classes : public test::Resume {
 protected:
  Classes() {
    write_table("0.png,dark\n1.png,dark\n4.png,bright\n5.png,bright\n");
    options_.data.labels = table_;
  }

  void write_table(const std::string& text) { write_file_atomic(table_, text); }
  Model model() { return load_model(folder_ / "a"); }

  const std::string table_ = folder_ / "labels.csv";
};

TEST_F(Classes, AreStoredInTheModel) {
  run("a");
  EXPECT_THAT(model().config.class_names, ElementsAre("bright", "dark"));
  EXPECT_THAT(model().config.class_counts, ElementsAre(2, 2));
  EXPECT_EQ(model().config.network.classes(), 2);
  EXPECT_TRUE(model().network->takes().labels);
  EXPECT_THAT(read_file(path("config.json")), HasSubstr("\"bright\""));
}

TEST_F(Classes, AGridHasARowForEach) {
  options_.run.sample_count = 5;
  run("a");
  const ImageSize grid = probe_image(read_file(path("samples/step-00000006.png"))).size;
  const GridOptions options{.columns = 3, .scale = comfortable_scale({8, 8})};
  EXPECT_EQ(grid, grid_size(6, {8, 8}, options));
}

TEST_F(Classes, AGridOfFewPicturesShowsFewClasses) {
  options_.run.sample_count = 1;
  run("a");
  EXPECT_EQ(probe_image(read_file(path("samples/step-00000006.png"))).size,
            grid_size(1, {8, 8}, {.scale = comfortable_scale({8, 8})}));
}

TEST_F(Classes, AResumedRunEndsWithTheSameFiles) {
  run("a");
  const auto expected = files();
  std::filesystem::remove_all(folder_ / "a");
  stop_ = false;
  RunObserver observer;
  observer.stepped = [&](const RunMetrics& metrics) { stop_ = metrics.step == 4; };
  run("a", false, observer);
  stop_ = false;
  resume();
  EXPECT_EQ(files(), expected);
  // Rows in another order and a heading change nothing.
  write_table("file,class\n5.png,bright\n4.png,bright\n1.png,dark\n0.png,dark\n");
  resume();
  EXPECT_EQ(files(), expected);
}

TEST_F(Classes, ChangedLabelsAreNoticed) {
  run("a");
  write_table("0.png,dark\n1.png,bright\n4.png,bright\n5.png,bright\n");
  EXPECT_THAT(refusal([&] { resume(); }), HasSubstr("1 file changed (/labels)"));
  EXPECT_NO_THROW(resume(true));
}

TEST_F(Classes, OtherClassesAreAnotherRun) {
  run("a");
  write_table("0.png,dark\n1.png,dark\n4.png,bright\n5.png,dim\n");
  EXPECT_THAT(refusal([&] { resume(true); }),
              HasSubstr("3 (bright, dark, dim) instead of 2 (bright, dark)"));
  std::filesystem::remove(path("config.json"));
  EXPECT_THAT(refusal([&] { resume(true); }), HasSubstr("instead of 2 (bright, dark)"));
}

TEST_F(Classes, OfOneKindOnlyAreWarnedOf) {
  write_table("0.png,dark\n");
  RunObserver observer;
  observer.warned = [&](const std::string& text) { warnings_ += text; };
  run("a", false, observer);
  EXPECT_THAT(warnings_, HasSubstr("all pictures are of one class, dark"));
}

TEST_F(Classes, WithoutAPictureOfNoClassThereIsAWarning) {
  RunObserver observer;
  observer.warned = [&](const std::string& text) { warnings_ += text; };
  options_.optimizer.label_dropout = 0;
  run("a", false, observer);
  EXPECT_THAT(warnings_, Not(HasSubstr("guidance will not work")));  // two have no class
  write_table("0.png,a\n1.png,a\n2.png,a\n3.png,b\n4.png,b\n5.png,b\n");
  run("b", false, observer);
  EXPECT_THAT(warnings_, HasSubstr("guidance will not work"));
}

TEST_F(Classes, ATableThatIsWrongLeavesNothingBehind) {
  write_table("0.png,dark\n9.png,dark\n");
  EXPECT_THAT(refusal([&] { run("a"); }), HasSubstr("9.png (line 2)"));
  EXPECT_FALSE(exists(folder_ / "a"));
}

TEST_F(Classes, OfAProgramsOwnArraysAreLearnt) {
  const std::vector<uint8_t> bytes(6 * 8 * 8, 7);
  const auto pictures =
      array_pictures(bytes, {6, 8, 8, 1}, {{0, 1, 1, 0, -1, 0}, {"square", "disc"}});
  options_.data = {};
  {
    const auto run = Run::create(folder_ / "a", options_, pictures);
    EXPECT_THAT(run->config().class_names, ElementsAre("square", "disc"));
    while (!run->done()) run->step();
    run->finish();
    EXPECT_EQ(run->sample({.count = 2, .labels = {1, 0}, .guidance = 2, .sampling = {.steps = 2}})
                  .shape(),
              (Shape{4, 8, 8, 1}));
  }
  // Options that do not speak of classes take those of the run.
  EXPECT_NO_THROW(Run::resume(folder_ / "a", pictures, {.options = options_}));
}

// An earlier version did not use the labels of arrays.
TEST_F(Classes, ARunThatIgnoredTheLabelsOfItsArraysGoesOnWithoutThem) {
  const std::vector<uint8_t> bytes(6 * 8 * 8, 7);
  const auto pictures = array_pictures(bytes, {6, 8, 8, 1}, {.of_pictures = {0, 1, 1, 0, -1, 0}});
  options_.data = {};
  options_.data.size = "8";
  {
    const auto run =
        Run::create(folder_ / "a", options_, [&](const PictureRequest&) { return pictures; });
    EXPECT_EQ(run->config().network.classes(), 0);
    run->step();
    run->finish();
  }
  TrainOptions asking = options_;
  asking.data.classes = true;
  EXPECT_THAT(refusal([&] { Run::resume(folder_ / "a", pictures, {.options = asking}); }),
              HasSubstr("classes"));
  const auto run = Run::resume(folder_ / "a", pictures);
  EXPECT_EQ(run->steps(), 1);
  EXPECT_EQ(run->config().network.classes(), 0);
}

}  // namespace
}  // namespace ddpm
