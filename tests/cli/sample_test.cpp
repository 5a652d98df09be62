#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Sample : public ::testing::Test {
 protected:
  void SetUp() override { make_model(model_); }

  void expect_refused(std::vector<std::string> flags, int status, const std::string& says) {
    flags.insert(flags.begin(), "sample");
    test::expect_refused(flags, status, says);
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
  const std::string grid_ = folder_ / "grid.png";
};

TEST_F(Sample, DrawsAGridEachPictureAndTheWay) {
  const Outcome outcome = run_ddpm({"sample", model_, "--n", "3", "--steps", "4", "--columns", "3",
                                    "--scale", "2", "--out", folder_ / "new/grid.png", "--each",
                                    folder_ / "each", "--trajectory", folder_ / "way.webp"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const ImageInfo grid = probe_image(read_file(folder_ / "new/grid.png"));
  EXPECT_EQ(grid.size, (ImageSize{8 * 2 + 4, 3 * (8 * 2 + 2) + 2}));
  EXPECT_THAT(names_in(folder_ / "each"), ElementsAre("00000.png", "00001.png", "00002.png"));
  EXPECT_EQ(probe_image(read_file(folder_ / "each/00002.png")).size, (ImageSize{8, 8}));
  const ImageInfo way = probe_image(read_file(folder_ / "way.webp"));
  EXPECT_EQ(way.format, "WebP");
  EXPECT_EQ(way.frames, 5);
}

TEST_F(Sample, APictureDependsOnItsSeedAlone) {
  for (const std::vector<std::string>& sampler :
       {std::vector<std::string>{"--sampler", "ddpm"}, {"--sampler", "ddim", "--eta", "0.5"}}) {
    const auto draw = [&](const std::string& name, std::vector<std::string> flags) {
      flags.insert(flags.begin(), {"sample", model_, "--steps", "3", "--each", folder_ / name,
                                   "--overwrite", "--seed", "5"});
      flags.insert(flags.end(), sampler.begin(), sampler.end());
      ASSERT_EQ(run_ddpm(flags).status, 0);
    };
    draw("together", {"--n", "5", "--threads", "2"});
    draw("apart", {"--n", "3", "--batch", "2", "--threads", "1"});
    for (const char* name : {"/00000.png", "/00001.png", "/00002.png"}) {
      EXPECT_EQ(read_file((folder_ / "together") + name), read_file((folder_ / "apart") + name))
          << sampler[1] << name;
    }
    EXPECT_NE(read_file(folder_ / "together/00000.png"), read_file(folder_ / "together/00001.png"));
  }
}

TEST_F(Sample, TakesARunDirectory) {
  const Outcome outcome =
      run_ddpm({"sample", folder_.path(), "--n", "1", "--steps", "1", "--out", grid_});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(Sample, TakesAnotherSize) {
  const Outcome outcome = run_ddpm(
      {"sample", model_, "--n", "1", "--steps", "1", "--size", "4x6", "--each", folder_ / "each"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(probe_image(read_file(folder_ / "each/00000.png")).size, (ImageSize{4, 6}));
}

TEST_F(Sample, RefusesWhatCannotWork) {
  expect_refused({model_, "--out", grid_, "--sampler", "dpm"}, 2, "choose auto, ddpm, ddim");
  expect_refused({model_, "--out", grid_, "--steps", "0"}, 2, "--steps is 0");
  expect_refused({model_, "--out", grid_, "--steps", "101"}, 2, "choose 1 to 100");
  expect_refused({model_, "--out", grid_, "--eta", "-0.1"}, 2, "eta is -0.1");
  expect_refused({model_, "--out", grid_, "--eta", "-1"}, 2, "eta is -1; it must be from 0 to 1");
  expect_refused({model_, "--out", grid_, "--sampler", "unipc", "--order", "0"}, 2,
                 "--order is 0; it must be at least 1. Leave it out for the sampler's own");
  expect_refused({model_, "--out", grid_, "--order", "-1"}, 2, "--order is -1");
  expect_refused({model_, "--out", grid_, "--objective", "flow"}, 2,
                 "says that objective is \"eps\"");
  expect_refused({model_, "--out", grid_, "--n", "0"}, 2, "--n is 0");
  expect_refused({model_, "--out", grid_, "--batch", "0"}, 2, "batch");
  expect_refused({model_, "--out", grid_, "--size", "7"}, 2, "7");
  expect_refused({model_, "--out", grid_, "--device", "gpu"}, 2, "choose cpu or ref");
  expect_refused({model_, "--out", folder_ / "grid.jpg"}, 2, "must end in .png");
  expect_refused({model_}, 2, "--out grid.png");
  EXPECT_FALSE(std::filesystem::exists(grid_));
}

TEST_F(Sample, RefusesFilesThatAreNoModel) {
  expect_refused({folder_ / "absent", "--out", grid_}, 1, "absent");
  make_folder(folder_ / "empty");
  expect_refused({folder_ / "empty", "--out", grid_}, 1, "model.safetensors");
  const std::string whole = read_file(model_);
  write_file_atomic(folder_ / "short.safetensors", whole.substr(0, whole.size() - 1));
  expect_refused({folder_ / "short.safetensors", "--out", grid_}, 1, "short.safetensors");
  write_file_atomic(folder_ / "hostile.safetensors",
                    std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10));
  expect_refused({folder_ / "hostile.safetensors", "--out", grid_}, 1, "hostile.safetensors");
}

TEST_F(Sample, RefusesPicturesThatNoFileHolds) {
  make_model(folder_ / "two.safetensors", 2);
  expect_refused({folder_ / "two.safetensors", "--out", grid_}, 1, "2 channels");
}

}  // namespace
}  // namespace ddpm::test
