// Outputs that cannot be written are reported before the work begins, and no files are left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

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
using ::testing::Not;

class Outputs : public ::testing::Test {
 protected:
  void SetUp() override {
    make_model(model_);
    make_pictures(pictures_, 3);
    make_folder(place_);
  }

  // The command fails with this message before its first step or picture, and `place_` does not
  // change.
  void expect_known_before(const std::vector<std::string>& words, int status,
                           const std::string& says) {
    const std::vector<std::string> before = names_in(place_);
    const Outcome outcome = as_nobody(words);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_THAT(outcome.err, Not(HasSubstr("step ")));
    EXPECT_THAT(outcome.err, Not(HasSubstr("picture 1/")));
    EXPECT_EQ(names_in(place_), before);
  }
  // Root may write anywhere.
  static Outcome as_nobody(const std::vector<std::string>& words) {
    return Program(words, {.prepare =
                               [] {
                                 if (geteuid() == 0 && setuid(65534) != 0) _exit(126);
                               }})
        .wait();
  }
  std::vector<std::string> sample(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"sample", model_, "--steps", "2"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  void everybody_may_write() const {
    std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
    std::filesystem::permissions(place_, std::filesystem::perms::all);
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
  const std::string pictures_ = folder_ / "pictures";
  const std::string place_ = folder_ / "place";
};

TEST_F(Outputs, AFolderInThePlaceOfAFile) {
  everybody_may_write();
  make_folder(place_ + "/dir.png");
  make_folder(place_ + "/dir.webp");
  make_folder(place_ + "/each/00001.png");
  std::filesystem::permissions(place_ + "/each", std::filesystem::perms::all);
  expect_known_before(sample({"--out", place_ + "/dir.png"}), 1, "Is a directory");
  expect_known_before(sample({"--trajectory", place_ + "/dir.webp"}), 1, "Is a directory");
  expect_known_before(sample({"--n", "2", "--each", place_ + "/each"}), 2,
                      "00001.png is a folder, where a picture must be written");
  expect_known_before(sample({"--n", "2", "--each", place_ + "/each", "--overwrite"}), 2,
                      "00001.png is a folder");
  expect_known_before({"data", pictures_, "--out", place_ + "/dir.png"}, 1, "Is a directory");
  EXPECT_THAT(names_in(place_ + "/each"), ElementsAre("00001.png"));
}

TEST_F(Outputs, AFolderThatMayNotBeWritten) {
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
  const auto refused = [&](const std::vector<std::string>& words) {
    expect_known_before(words, 1, "Permission denied; choose a place you may write to");
  };
  refused(sample({"--out", place_ + "/grid.png"}));
  refused(sample({"--out", place_ + "/new/grid.png"}));
  refused(sample({"--trajectory", place_ + "/t.webp"}));
  refused(sample({"--each", place_}));
  refused(sample({"--each", place_ + "/new"}));
  refused({"data", pictures_, "--out", place_ + "/grid.png"});
}

TEST_F(Outputs, AFileInTheWayOfAFolder) {
  everybody_may_write();
  write_file_atomic(place_ + "/file", "");
  expect_known_before(sample({"--out", place_ + "/file/grid.png"}), 1, "Not a directory");
  expect_known_before(sample({"--each", place_ + "/file"}), 1, place_ + "/file");
  expect_known_before({"data", pictures_, "--out", place_ + "/file/grid.png"}, 1,
                      "Not a directory");
}

TEST_F(Outputs, NamesThatAreTooLong) {
  everybody_may_write();
  const std::string longest(251, 'a'), too_long(252, 'a');
  expect_known_before(sample({"--out", place_ + "/" + too_long + ".png"}), 1, "File name too long");
  expect_known_before({"data", pictures_, "--out", place_ + "/" + too_long + ".png"}, 1,
                      "File name too long");
  EXPECT_EQ(as_nobody(sample({"--n", "1", "--out", place_ + "/" + longest + ".png"})).status, 0);
  EXPECT_THAT(names_in(place_), ElementsAre(longest + ".png"));
}

TEST_F(Outputs, PicturesThatTheirFormatsCannotHold) {
  everybody_may_write();
  // 250 x (8 * 8 + 2) + 2 pixels
  expect_known_before(sample({"--n", "250", "--columns", "1", "--trajectory", place_ + "/t.webp"}),
                      2, "allows 16383 a side");
  expect_known_before(
      sample({"--n", "250", "--columns", "250", "--trajectory", place_ + "/t.webp"}), 2,
      "allows 16383 a side");
  expect_known_before(
      sample({"--n", "2000", "--columns", "1", "--scale", "1000", "--out", place_ + "/g.png"}), 2,
      "allows 1000000 a side");
  expect_known_before(
      {"data", pictures_, "--size", "16384", "--scale", "100", "--out", place_ + "/g.png"}, 2,
      "allows 1000000 a side");
  const std::string most = "9223372036854775807";
  expect_known_before(sample({"--scale", most, "--out", place_ + "/g.png"}), 2, "scale");
  expect_known_before({"data", pictures_, "--scale", most, "--out", place_ + "/g.png"}, 2, "scale");
}

TEST_F(Outputs, TheLargestAnimationIsWritten) {
  const std::string film = place_ + "/t.webp";
  const Outcome outcome = run_ddpm(sample({"--n", "1638", "--columns", "1638", "--scale", "1",
                                           "--batch", "512", "--trajectory", film}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(probe_image(read_file(film)).size, (ImageSize{12, 16382}));
}

TEST_F(Outputs, TwoWithOneName) {
  everybody_may_write();
  make_folder(place_ + "/each");
  std::filesystem::create_directory_symlink(place_ + "/each", place_ + "/link");
  for (const std::string& out : {place_ + "/each/00001.png", place_ + "/each/../each/00001.png",
                                 place_ + "/link/00001.png"}) {
    expect_known_before(sample({"--n", "2", "--each", place_ + "/each", "--out", out}), 2,
                        "one of the files of --each");
  }
  expect_known_before(sample({"--each", place_ + "/x.png", "--out", place_ + "/x.png"}), 2,
                      "one of the files of --each");
  const Outcome beside = as_nobody(
      sample({"--n", "2", "--each", place_ + "/new", "--out", place_ + "/new/00002.png"}));
  EXPECT_EQ(beside.status, 0) << beside.err;
  EXPECT_THAT(names_in(place_ + "/new"), ElementsAre("00000.png", "00001.png", "00002.png"));
}

TEST_F(Outputs, ForwardKeepsItsInputAndItsModel) {
  everybody_may_write();
  const std::string in = place_ + "/in.safetensors";
  SafetensorsWriter writer;
  writer.add("x", Tensor::zeros({1, 8, 8, 3}), Layout::kImage);
  writer.add("t", Tensor::zeros({1}));
  writer.write(in);
  expect_known_before({"forward", model_, "--in", in, "--out", in}, 2, "--in and --out are both");
  expect_known_before({"forward", model_, "--in", in, "--out", model_}, 2, "is the model");
  make_folder(place_ + "/out.safetensors");
  expect_known_before({"forward", model_, "--in", in, "--out", place_ + "/out.safetensors"}, 1,
                      "Is a directory");
}

TEST_F(Outputs, SuffixesMayBeInCapitals) {
  const Outcome sampled = run_ddpm(
      sample({"--n", "1", "--out", place_ + "/a.PNG", "--trajectory", place_ + "/b.WebP"}));
  EXPECT_EQ(sampled.status, 0) << sampled.err;
  EXPECT_EQ(run_ddpm({"data", pictures_, "--out", place_ + "/c.Png"}).status, 0);
  EXPECT_THAT(names_in(place_), ElementsAre("a.PNG", "b.WebP", "c.Png"));
}

TEST_F(Outputs, NamesWithoutASuffixAreToldOne) {
  everybody_may_write();
  expect_known_before(sample({"--out", place_ + "/grid"}), 2, "such as " + place_ + "/grid.png");
  expect_known_before(sample({"--out", place_ + "/a.jpg"}), 2, "such as " + place_ + "/a.png");
  expect_known_before(sample({"--out", place_ + "/"}), 2, "such as " + place_ + "/pictures.png");
}

TEST_F(Outputs, ACommandThatFailsLeavesNoFolder) {
  everybody_may_write();
  for (const std::string& out : {place_ + "/new/grid.png", place_ + "/a/b/c/grid.png"}) {
    expect_known_before({"data", folder_ / "absent", "--out", out}, 1, "no such folder");
    expect_known_before(sample({"--eta", "5", "--out", out}), 2, "eta");
  }
  for (const std::string& each : {place_ + "/new", place_ + "/a/b/"}) {
    expect_known_before(sample({"--eta", "5", "--each", each}), 2, "eta");
  }
}

TEST_F(Outputs, ARunDirectoryIsTriedBeforeThePicturesAreRead) {
  everybody_may_write();
  const std::string run = place_ + "/run";
  const std::vector<std::string> words =
      small_training(pictures_, run, {"--batch", "2", "--steps", "2"});
  ASSERT_EQ(as_nobody(words).status, 0);
  const std::vector<std::string> resume = {"train", "--out", run, "--resume", "--steps", "4"};
  for (const char* folder : {"/checkpoints", "/samples"}) {
    std::filesystem::permissions(run + folder, std::filesystem::perms::owner_read |
                                                   std::filesystem::perms::owner_exec |
                                                   std::filesystem::perms::others_read |
                                                   std::filesystem::perms::others_exec);
    expect_known_before(resume, 1, "Permission denied; choose a place you may write to");
    std::filesystem::permissions(run + folder, std::filesystem::perms::all);
  }
  std::filesystem::rename(run + "/model.safetensors", run + "/model");
  make_folder(run + "/model.safetensors");
  expect_known_before(resume, 1, "Is a directory");
  std::filesystem::remove(run + "/model.safetensors");
  std::filesystem::rename(run + "/model", run + "/model.safetensors");
  EXPECT_EQ(as_nobody(resume).status, 0);
}

// As on a full disk, writing stops somewhere inside the file.
TEST_F(Outputs, AFailedWriteKeepsTheOldFileAndTheOtherOutputs) {
  const std::string grid = place_ + "/grid.png", each = place_ + "/each";
  write_file_atomic(grid, "old");
  Program program(
      sample({"--n", "4", "--size", "32", "--scale", "1", "--out", grid, "--each", each}),
      {.prepare = [] {
        const rlimit limit{5000, 5000};
        setrlimit(RLIMIT_FSIZE, &limit);
      }});
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("cannot write " + grid + ": File too large"));
  EXPECT_THAT(outcome.err, HasSubstr("the same command makes the same pictures"));
  EXPECT_TRUE(read_file(grid) == "old");
  EXPECT_EQ(names_in(each).size(), 4u);
  EXPECT_THAT(names_in(place_), ElementsAre("each", "grid.png"));
}

}  // namespace
}  // namespace ddpm::test
