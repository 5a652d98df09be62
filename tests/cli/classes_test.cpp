// Classes from pictures to pictures: ddpm data, train, info, sample and forward.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Classes : public ::testing::Test {
 protected:
  Classes() {
    make_pictures(folder_ / "pictures/cat", 3);
    make_pictures(folder_ / "pictures/dog", 2);
    ModelConfig config{.network = tutorial::UnetConfig{.dim = 8, .dim_mults = {1, 2}},
                       .height = 8,
                       .width = 8,
                       .process = {.timesteps = 100}};
    config.network.classes() = 3;
    config.class_names = {"cat", "7", "cat,dog"};
    const auto network = make_network(config.network);
    network->initialize(1);
    save_model(model_, config, *network, parameter_tensors(*network), 7);
  }

  Outcome sample(std::vector<std::string> flags) const {
    flags.insert(flags.begin(), {"sample", model_, "--steps", "3", "--scale", "1"});
    return run_ddpm(flags);
  }
  void expect_refused(std::vector<std::string> flags, const std::string& says) const {
    flags.insert(flags.end(), {"--out", grid_});
    const Outcome outcome = sample(flags);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
    // Mistakes are found before anything is drawn.
    EXPECT_THAT(outcome.err, Not(HasSubstr("step"))) << outcome.err;
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
  const std::string grid_ = folder_ / "grid.png";
};

TEST_F(Classes, AreCountedBeforeTraining) {
  const Outcome seen = run_ddpm({"data", folder_ / "pictures", "--classes", "--out", grid_});
  ASSERT_EQ(seen.status, 0) << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("2 classes: cat (3), dog (2)\n"));
  write_file_atomic(folder_ / "l.csv", "cat/0.png,x\ncat/1.png,y\n");
  const Outcome table =
      run_ddpm({"data", folder_ / "pictures", "--labels", folder_ / "l.csv", "--out", grid_});
  EXPECT_THAT(table.out, HasSubstr("2 classes: x (1), y (1); 3 pictures of no class\n"));
}

TEST_F(Classes, AreTrainedToldAndDrawn) {
  const std::string run = folder_ / "run";
  const Outcome trained = run_ddpm(small_training(
      folder_ / "pictures", run,
      {"--classes", "--steps", "2", "--batch", "2", "--sample-steps", "2", "--sample-count", "4"}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("2 classes: cat (3), dog (2)\n"));
  EXPECT_THAT(trained.out, HasSubstr(" --class all --n 4 --guidance 2 --out grid.png"));
  const Outcome info = run_ddpm({"info", run});
  EXPECT_THAT(info.out, HasSubstr("class_names                 cat (3), dog (2)\n"));
  EXPECT_THAT(info.out, HasSubstr("with --guidance"));
  EXPECT_THAT(run_ddpm({"info", run, "--json"}).out, HasSubstr("\"class_names\": ["));
  const Outcome drawn = run_ddpm({"sample", run, "--class", "dog,none", "--n", "2", "--guidance",
                                  "2", "--steps", "2", "--each", folder_ / "each"});
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_THAT(drawn.out, HasSubstr("classes, 2 of each: dog, none\n"));
  EXPECT_EQ(names_in(folder_ / "each").size(), 4u);
}

TEST_F(Classes, AreNamedOrNumberedAndHaveARowEach) {
  const auto size = [&](const std::string& classes) {
    const Outcome outcome = sample({"--class", classes, "--n", "3", "--out", grid_});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return probe_image(read_file(grid_)).size;
  };
  EXPECT_EQ(size("7,#0"), (ImageSize{2 * 10 + 2, 3 * 10 + 2}));
  EXPECT_EQ(size("all"), (ImageSize{3 * 10 + 2, 3 * 10 + 2}));
  EXPECT_EQ(size("cat,dog"), (ImageSize{2 * 10 + 2, 2 * 10 + 2}));  // one class, near-square
  // All in turn, a column for each.
  ASSERT_EQ(sample({"--n", "6", "--out", grid_}).status, 0);
  EXPECT_EQ(probe_image(read_file(grid_)).size, (ImageSize{2 * 10 + 2, 3 * 10 + 2}));
}

TEST_F(Classes, GuidanceOf1ChangesNothing) {
  const auto picture = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--class", "cat", "--n", "2", "--out", grid_});
    const Outcome outcome = sample(flags);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return read_file(grid_);
  };
  const std::string plain = picture({});
  EXPECT_EQ(picture({"--guidance", "1"}), plain);
  const std::string guided = picture({"--guidance", "4"});
  EXPECT_NE(guided, plain);
  EXPECT_EQ(picture({"--guidance", "4", "--batch", "1"}), guided);
  EXPECT_NE(picture({"--guidance", "4", "--guidance-rescale", "0.7"}), guided);
}

// The mean difference between two bytes of two cells of a grid, whose corners are given.
double difference(const Tensor& grid, ImageSize size, std::pair<int64_t, int64_t> a,
                  std::pair<int64_t, int64_t> b) {
  const int64_t channels = grid.size(2), width = grid.size(1);
  const auto at = [&](std::pair<int64_t, int64_t> corner, int64_t y, int64_t i) {
    return int{grid.u8()[((corner.first + y) * width + corner.second) * channels + i]};
  };
  double sum = 0;
  for (int64_t y = 0; y < size.height; ++y) {
    for (int64_t i = 0; i < size.width * channels; ++i) sum += std::abs(at(a, y, i) - at(b, y, i));
  }
  return sum / static_cast<double>(size.height * size.width * channels);
}

TEST_F(Classes, TheWayBeginsWithTheSameNoiseForEachClass) {
  const std::string way = folder_ / "way.webp";
  const int64_t side = 8 * 8, next = side + 2;
  const Outcome outcome = run_ddpm({"sample", model_, "--steps", "3", "--scale", "8", "--class",
                                    "cat,7", "--n", "2", "--trajectory", way, "--guidance", "2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_GE(probe_image(read_file(way)).frames, 2);  // equal ones become one
  // Of the first frame. A row for each class.
  const Tensor noise = decode_image(read_file(way), {});
  ASSERT_EQ(noise.shape(), (Shape{2 * next + 2, 2 * next + 2, 3}));
  const ImageSize cell{side, side};
  for (const int64_t x : {int64_t{2}, 2 + next})
    EXPECT_LT(difference(noise, cell, {2, x}, {2 + next, x}), 5) << x;
  // The frames are compressed with loss. Images with different noise differ much more.
  EXPECT_GT(difference(noise, cell, {2, 2}, {2, 2 + next}), 50);
}

TEST_F(Classes, MistakesAreAnsweredWithWhatWouldWork) {
  expect_refused({"--class", "cst"}, "there is no class 'cst'; did you mean cat?");
  expect_refused({"--class", "elephant"}, "there are cat, 7, cat,dog, and #0 to #2 by number");
  expect_refused({"--class", "cat,#3"}, "there is no class '#3'");
  expect_refused({"--class", "cat,"}, "--class has an empty name");
  expect_refused({"--guidance", "-1"}, "guidance is -1 but must lie between 0 and 1000");
  expect_refused({"--guidance-rescale", "2"}, "guidance-rescale is 2");
  make_model(model_);
  expect_refused({"--class", "cat"}, "the model was trained without any");
  expect_refused({"--guidance", "3"}, "the model was trained without classes");
  expect_refused({"--sampler", "ddpm", "--eta", "1"},
                 "the sampler ddpm always adds all of its noise");
  expect_refused({"--sampler", "ddpm", "--eta", "0"}, "choose the sampler ddim");
  expect_refused({"--spacing", "tuned"}, "make them with ddpm tune");
  const auto train = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"train", "--out", folder_ / "run"});
    const Outcome outcome = run_ddpm(flags);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(train({"--data", folder_ / "pictures/cat", "--classes"}),
              HasSubstr("holds no folders to take as classes"));
  write_file_atomic(folder_ / "l.csv", "cat/0.png,x\ncat/9.png,y\n");
  EXPECT_THAT(train({"--data", folder_ / "pictures", "--labels", folder_ / "l.csv"}),
              HasSubstr("cat/9.png (line 2)"));
  EXPECT_THAT(train({"--data", "emoji:cat-face", "--labels", folder_ / "l.csv"}),
              HasSubstr("give --classes"));
}

TEST_F(Classes, ForwardTakesClassLabels) {
  const auto forward = [&](const std::vector<float>& labels) {
    SafetensorsWriter writer;
    writer.add("x", Tensor::full({2, 8, 8, 3}, 0.5f), Layout::kImage);
    writer.add("t", Tensor::of({2}, {3, 50}));
    if (!labels.empty())
      writer.add("class_labels", Tensor::of({static_cast<int64_t>(labels.size())}, labels));
    writer.write(folder_ / "in.safetensors");
    const Outcome outcome = run_ddpm({"forward", model_, "--in", folder_ / "in.safetensors",
                                      "--out", folder_ / "out.safetensors"});
    EXPECT_THAT(outcome.err, Not(HasSubstr("ignored")));
    if (outcome.status != 0) return outcome.err;
    const Tensor out = SafetensorsFile::open(folder_ / "out.safetensors").read("out");
    return std::to_string(out.values()[0]) + std::to_string(out.values()[200]);
  };
  EXPECT_EQ(forward({}), forward({-1, -1}));
  EXPECT_NE(forward({}), forward({2, 0}));
  EXPECT_THAT(forward({2, 3}), HasSubstr("holds 3; the classes are 0 to 2"));
  EXPECT_THAT(forward({2, 0.5f}), HasSubstr("holds 0.5; the classes are 0 to 2"));
  EXPECT_THAT(forward({2}), HasSubstr("class_labels of"));
  make_model(model_);
  EXPECT_THAT(forward({2, 0}), HasSubstr("class_labels, which the network does not take"));
}

}  // namespace
}  // namespace ddpm::test
