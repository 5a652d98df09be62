// Recorded noise in, states of the sampler out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "ddpm/base/file.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/mixture_model_test_support.h"
#include "ddpm/io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TensorDoor : public ::testing::Test {
 protected:
  void SetUp() override { write_file_atomic(model_, MixtureFile().bytes()); }

  // Noise of this shape in the order of the file, some numbers around 0.
  void write_noise(const Shape& shape) const {
    Tensor noise(shape);
    for (int64_t i = 0; i < noise.elements(); ++i)
      noise.f32()[i] = 1.5f * std::sin(static_cast<float>(i * i + 1));
    SafetensorsWriter writer;
    writer.add("noise", noise);
    writer.write(noise_);
  }
  Outcome sample(const std::vector<std::string>& flags) const {
    std::vector<std::string> words = {"sample", model_};
    words.insert(words.end(), flags.begin(), flags.end());
    return run_ddpm(words);
  }
  void expect_refused(std::vector<std::string> flags, const std::string& says) const {
    flags.insert(flags.begin(), {"sample", model_});
    test::expect_refused(flags, 2, says);
  }
  Tensor read(const char* name) const { return SafetensorsFile::open(out_).read(name); }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
  const std::string noise_ = folder_ / "noise.safetensors";
  const std::string out_ = folder_ / "out.safetensors";
};

TEST_F(TensorDoor, WritesTheStatesOfTheSampler) {
  write_noise({5, 3, 1, 2});
  const Outcome outcome =
      sample({"--noise", noise_, "--tensors", out_, "--every-step", "--sampler", "ddim", "--steps",
              "4", "--batch", "2", "--each", folder_ / "each"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Tensor x = read("x"), trajectory = read("trajectory");
  ASSERT_EQ(x.shape(), (Shape{5, 3, 1, 2}));
  ASSERT_EQ(trajectory.shape(), (Shape{5, 5, 3, 1, 2}));
  // The start is the noise, and the last state the result.
  EXPECT_EQ(trajectory.rows(0, 1).clone().values(),
            SafetensorsFile::open(noise_).read("noise").values());
  EXPECT_EQ(trajectory.rows(4, 5).clone().values(), x.values());
  // The picture files hold the same, as bytes.
  const Tensor picture = decode_image(read_file(folder_ / "each/00004.png"), {});
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t w = 0; w < 2; ++w) {
      const float value = x.f32()[(4 * 3 + c) * 2 + w];
      EXPECT_NEAR(picture.u8()[w * 3 + c], (value + 1) * 127.5f, 0.5001f);
    }
  }
}

TEST_F(TensorDoor, UsesTheDrawsInTheirOrder) {
  // 4 steps of ddpm need 4 draws, because the last step adds no noise. More are ignored.
  write_noise({6, 2, 3, 1, 2});
  const std::vector<std::string> flags = {"--noise",   noise_, "--tensors", out_,
                                          "--sampler", "ddpm", "--steps",   "4"};
  ASSERT_EQ(sample(flags).status, 0);
  const std::vector<float> long_way = read("x").values();
  write_noise({4, 2, 3, 1, 2});
  ASSERT_EQ(sample(flags).status, 0);
  EXPECT_EQ(read("x").values(), long_way);
  write_noise({3, 2, 3, 1, 2});
  std::filesystem::remove(out_);
  const Outcome outcome = sample(flags);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("there are 3 draws of noise, but the sampler ddpm needs 4"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("step 1")));
  EXPECT_FALSE(exists(out_));
}

TEST_F(TensorDoor, NeedsNoNoise) {
  ASSERT_EQ(sample({"--tensors", out_, "--n", "3", "--steps", "2"}).status, 0);
  EXPECT_EQ(read("x").shape(), (Shape{3, 3, 1, 2}));
  EXPECT_EQ(SafetensorsFile::open(out_).find("trajectory"), nullptr);
}

// A model of pictures that no picture file holds.
TEST_F(TensorDoor, TakesAnyChannels) {
  make_model(folder_ / "two.safetensors", 2);
  const Outcome outcome = run_ddpm(
      {"sample", folder_ / "two.safetensors", "--tensors", out_, "--n", "1", "--steps", "1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(read("x").shape(), (Shape{1, 2, 8, 8}));
}

TEST_F(TensorDoor, RefusesWhatCannotWork) {
  write_noise({5, 3, 1, 2});
  expect_refused({"--noise", noise_, "--tensors", out_, "--n", "4"}, "noise for 5 pictures");
  expect_refused({"--noise", noise_, "--tensors", out_, "--size", "4"},
                 "is [5, 3, 1, 2] for pictures of 4x4; they need [5, 3, 4, 4]");
  expect_refused({"--noise", noise_, "--tensors", out_, "--sampler", "ddpm", "--steps", "7"},
                 "there is 1 draw of noise, but the sampler ddpm needs 7 for 7 evaluations");
  expect_refused({"--noise", noise_, "--tensors", noise_}, "both");
  expect_refused({"--tensors", model_}, "is the model");
  expect_refused({"--tensors", folder_ / "out.npy"}, "must end in .safetensors");
  expect_refused({"--every-step", "--out", folder_ / "a.png"}, "--tensors");
  expect_refused({"--noise", model_, "--tensors", out_}, "no tensor called noise");
  write_noise({5, 1, 1, 2});
  expect_refused({"--noise", noise_, "--tensors", out_}, "1 channels; the model's pictures have 3");
  write_noise({3, 1, 2});
  expect_refused({"--noise", noise_, "--tensors", out_}, "must be [N, C, H, W]");
  EXPECT_FALSE(exists(out_));
}

TEST_F(TensorDoor, APictureOfRecordedNoiseIsNotMadeAgainWithoutIt) {
  write_noise({1, 3, 1, 2});
  const std::string picture = folder_ / "a.png";
  ASSERT_EQ(sample({"--noise", noise_, "--sampler", "ddim", "--out", picture}).status, 0);
  expect_refused({"--like", picture, "--out", folder_ / "b.png"}, "recorded noise");
}

}  // namespace
}  // namespace ddpm::test
