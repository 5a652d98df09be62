// Models that draw from pictures, through the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Condition : public ::testing::Test {
 protected:
  // A picture of one colour.
  void draw(const std::string& name, int64_t height, int64_t width, int64_t channels = 3) const {
    make_folder(std::filesystem::path(folder_ / name).parent_path().string());
    Tensor picture({height, width, channels}, DType::kUInt8);
    for (int64_t i = 0; i < picture.elements(); ++i)
      picture.u8()[i] = static_cast<uint8_t>(40 + 70 * (i % channels));
    write_png(folder_ / name, picture);
  }
  void model(const std::string& condition, int64_t channels = 3) const {
    make_model(model_, channels, condition);
  }
  Outcome sample(std::vector<std::string> flags) const {
    flags.insert(flags.begin(), {"sample", model_, "--steps", "2"});
    return run_ddpm(flags);
  }
  Outcome train(const std::vector<std::string>& more) const {
    std::vector<std::string> flags = {"--steps",        "2", "--batch",        "2",
                                      "--sample-every", "1", "--sample-count", "2",
                                      "--sample-steps", "1"};
    flags.insert(flags.end(), more.begin(), more.end());
    return run_ddpm(small_training(folder_ / "photos", folder_ / "run", flags));
  }
  void expect_refused(const std::vector<std::string>& flags, const std::string& says,
                      int status = 2) const {
    const Outcome outcome = sample(flags);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
  }
  ImageSize size_of(const std::string& name) const {
    return probe_image(read_file(folder_ / name)).size;
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
  const std::string grid_ = folder_ / "grid.png";
};

TEST_F(Condition, EachInputStandsBesideItsOutputsWhichKeepItsName) {
  model("grey");
  draw("in/b.png", 8, 12);
  draw("in/deep/a.png", 8, 12, 1);
  const std::vector<std::string> flags = {
      "--input", folder_ / "in", "--out",         grid_,    "--scale",
      "1",       "--each",       folder_ / "out", "--seed", "3"};
  Outcome outcome = sample(flags);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  // Two groups of an input and an output, one below the other.
  EXPECT_EQ(size_of("grid.png"), (ImageSize{2 * (8 + 2) + 2, 2 * (12 + 2) + 2}));
  EXPECT_EQ(size_of("out/b.png"), (ImageSize{8, 12}));
  EXPECT_EQ(size_of("out/deep/a.png"), (ImageSize{8, 12}));
  const std::string once = read_file(folder_ / "out/deep/a.png");
  std::filesystem::remove_all(folder_ / "out");
  std::vector<std::string> more = flags;
  more.insert(more.end(), {"--n", "3"});
  outcome = sample(more);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(size_of("grid.png"), (ImageSize{2 * (8 + 2) + 2, 4 * (12 + 2) + 2}));
  EXPECT_THAT(names_in(folder_ / "out"), ElementsAre("b-0.png", "b-1.png", "b-2.png", "deep"));
  // The first of several is the one that is drawn alone.
  EXPECT_EQ(read_file(folder_ / "out/deep/a-0.png"), once);
  EXPECT_NE(read_file(folder_ / "out/deep/a-1.png"), once);
}

TEST_F(Condition, ASmallPictureIsEnlargedAndAWholeOneShrunkFirst) {
  model("downscale:4");
  draw("small.png", 2, 4);
  const auto output = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> flags = {"--input", folder_ / name, "--each", folder_ / "out",
                                      "--overwrite"};
    flags.insert(flags.end(), more.begin(), more.end());
    const Outcome outcome = sample(flags);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return read_file(folder_ / ("out/" + name));
  };
  const std::string from_small = output("small.png", {});
  EXPECT_EQ(size_of("out/small.png"), (ImageSize{8, 16}));
  EXPECT_EQ(output("small.png", {"--size", "8x16"}), from_small);
  draw("whole.png", 8, 16);  // of the same colour
  EXPECT_EQ(output("whole.png", {"--size", "8x16"}), from_small);
  draw("whole.png", 16, 32);
  EXPECT_EQ(output("whole.png", {"--size", "8x16"}), from_small);
  output("whole.png", {});
  EXPECT_EQ(size_of("out/whole.png"), (ImageSize{64, 128}));
}

TEST_F(Condition, TransparencyIsPartOfIt) {
  model("grey", 4);
  draw("clear.png", 8, 8, 4);
  draw("grey.png", 8, 8, 1);
  for (const char* name : {"clear.png", "grey.png"}) {
    const Outcome outcome = sample({"--input", folder_ / name, "--out", grid_});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
  }
}

TEST_F(Condition, AnInputOfFullSizeIsWarnedOf) {
  model("grey");
  draw("full.png", 64, 64);
  const auto warned = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--input", folder_ / "full.png", "--out", grid_});
    return sample(flags).err;
  };
  EXPECT_THAT(warned({}), HasSubstr("--size 8x8 scales the inputs"));
  EXPECT_THAT(warned({"--size", "8"}), Not(HasSubstr("warning")));
}

TEST_F(Condition, WhatCannotWorkIsRefusedWithWhatWould) {
  model("grey");
  draw("in/a.png", 8, 8);
  draw("in/b.png", 8, 10);
  draw("odd.png", 9, 8);
  expect_refused({"--out", grid_}, "give --input");
  expect_refused({"--input", folder_ / "in", "--out", grid_},
                 "a.png gives an output of 8x8 and b.png");
  expect_refused({"--input", folder_ / "odd.png", "--out", grid_}, "--size 10x8 makes it fit");
  expect_refused({"--input", folder_ / "in/a.png", "--out", grid_, "--size", "7"}, "7");
  expect_refused({"--input", folder_ / "absent.png", "--out", grid_}, "absent.png", 1);
  expect_refused({"--input", folder_ / "in/a.png", "--out", folder_ / "in/a.png"},
                 "one of the inputs");
  expect_refused({"--input", folder_ / "in", "--size", "8", "--each", folder_ / "in"},
                 "folder of the inputs");
  expect_refused({"--input", folder_ / "in", "--size", "8", "--each", folder_ / "in/out"},
                 "one lies inside the other");
  expect_refused({"--input", folder_ / "in", "--size", "8", "--each", folder_ / "."},
                 "one lies inside the other");
  draw("in/b.png", 8, 8);
  std::filesystem::copy(folder_ / "in/b.png", folder_ / "in/b.jpg");
  expect_refused({"--input", folder_ / "in", "--out", grid_}, "extension alone");
  EXPECT_FALSE(std::filesystem::exists(grid_));
  model("downscale:4");
  draw("three.png", 3, 4);
  EXPECT_EQ(sample({"--input", folder_ / "three.png", "--out", grid_}).status, 0);
  expect_refused({"--input", folder_ / "three.png", "--out", grid_, "--size", "10"},
                 "multiples of 4; 12x12 would work");
  model("none");
  expect_refused({"--input", folder_ / "in/a.png", "--out", grid_}, "takes no --input");
}

TEST_F(Condition, ARunLearnsToDrawFromPictures) {
  make_pictures(folder_ / "photos", 3);
  Outcome outcome = train({"--condition", "downscale:2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  // Each of two pictures beside its condition, one group in a row.
  const int64_t scale = 8, gap = 2;
  EXPECT_EQ(size_of("run/samples/step-00000002.png"),
            (ImageSize{2 * (8 * scale + gap) + gap, 2 * (8 * scale + gap) + gap}));
  outcome = run_ddpm({"info", folder_ / "run", "--json"});
  EXPECT_THAT(outcome.out, HasSubstr("downscale:2"));
  outcome = run_ddpm({"train", "--out", folder_ / "run", "--resume", "--condition", "grey"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr(R"(started with condition = "downscale:2")"));
  std::filesystem::remove_all(folder_ / "run");
  outcome = train({"--condition", "downscale:3"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("these do: 2, 4, 8"));
  outcome = train({"--condition", folder_ / "nowhere"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no such folder"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(Condition, ANetworkOfLucidrainsDrawsFromPictures) {
  make_pictures(folder_ / "photos", 3);
  const Outcome trained =
      train({"--network", "lucidrains", "--self-condition", "--condition", "grey"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_THAT(trained.out, HasSubstr(" --input PICTURE --size 8x8 --out grid.png"));
  draw("grey.png", 8, 12, 1);
  draw("dark.png", 8, 12, 3);
  const auto drawn_from = [&](const std::string& input) {
    const Outcome drawn = run_ddpm({"sample", folder_ / "run", "--steps", "2", "--input",
                                    folder_ / input, "--each", folder_ / "out"});
    EXPECT_EQ(drawn.status, 0) << drawn.err;
    EXPECT_EQ(size_of("out/" + input), (ImageSize{8, 12}));
    return read_file(folder_ / ("out/" + input));
  };
  EXPECT_NE(drawn_from("grey.png"), drawn_from("dark.png"));
}

TEST_F(Condition, PairsWithoutPartnersAreNamed) {
  make_pictures(folder_ / "photos", 3);
  make_pictures(folder_ / "edges", 2);
  draw("edges/more.png", 8, 8);
  const Outcome outcome = run_ddpm({"data", folder_ / "photos", "--condition", folder_ / "edges",
                                    "--size", "8", "--scale", "1", "--out", grid_});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("2 pictures of 8x8"));
  EXPECT_THAT(outcome.out, HasSubstr("photos/2.png: no picture 2.* in"));
  EXPECT_THAT(outcome.out, HasSubstr("edges/more.png: no picture more.* in"));
  EXPECT_EQ(size_of("grid.png"), (ImageSize{2 * (8 + 2) + 2, 2 * (8 + 2) + 2}));
  const Outcome emoji = run_ddpm(
      {"data", "emoji:cat-face", "--condition", folder_ / "edges", "--size", "8", "--out", grid_});
  EXPECT_EQ(emoji.status, 2);
  EXPECT_THAT(emoji.err, HasSubstr("downscale:N"));
}

TEST_F(Condition, AForwardPassReadsIt) {
  model("grey");
  const auto forward = [&](const Tensor& condition) {
    SafetensorsWriter inputs;
    inputs.add("x", Tensor::zeros({2, 4, 6, 3}), Layout::kImage);
    inputs.add("t", Tensor::zeros({2}));
    if (condition.defined()) inputs.add("condition", condition, Layout::kImage);
    inputs.write(folder_ / "in.safetensors");
    return run_ddpm({"forward", model_, "--in", folder_ / "in.safetensors", "--out",
                     folder_ / "out.safetensors"});
  };
  const Outcome outcome = forward(Tensor::zeros({2, 4, 6, 1}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(forward({}).err, HasSubstr("there is none"));
  EXPECT_THAT(forward(Tensor::zeros({2, 4, 6, 3})).err, HasSubstr("must be [2, 1, 4, 6]"));
  model("none");
  EXPECT_THAT(forward(Tensor::zeros({2, 4, 6, 1})).err, HasSubstr("the network takes none"));
}

}  // namespace
}  // namespace ddpm::test
