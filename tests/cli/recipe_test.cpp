// Pictures say how they were made: they are made again to the bit, and an interrupted command goes
// on where it stopped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "ddpm/base/file.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/json.h"
#include "ddpm/data/image.h"
#include "ddpm/engine/mixture_model_test_support.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CliRecipe : public ::testing::Test {
 protected:
  void SetUp() override { write_file_atomic(model_, MixtureFile().bytes()); }

  Outcome sample(const std::vector<std::string>& flags) const {
    std::vector<std::string> words = {"sample", model_};
    words.insert(words.end(), flags.begin(), flags.end());
    return run_ddpm(words);
  }
  void expect_made(const std::vector<std::string>& flags) const {
    const Outcome outcome = sample(flags);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  void expect_refused(const std::vector<std::string>& flags, const std::string& says) const {
    const Outcome outcome = sample(flags);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_THAT(outcome.err, Not(HasSubstr("step ")));
  }
  std::string file(const std::string& name) const { return read_file(folder_ / name); }
  JsonObject recipe(const std::string& name) const {
    return JsonObject::parse(png_text(file(name), "ddpm", 1 << 20).value(), name);
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.safetensors";
  const std::string each_ = folder_ / "each", grid_ = folder_ / "grid.png";
};

TEST_F(CliRecipe, EveryPngHoldsIt) {
  expect_made({"--n", "3", "--seed", "9", "--steps", "4", "--out", grid_, "--each", each_});
  const JsonObject one = recipe("each/00002.png");
  EXPECT_EQ(*one.find("model_hash"), json_value::write(hash_hex(read_file(model_))));
  EXPECT_EQ(*one.find("version"), json_value::write(std::string(DDPM_TEST_VERSION)));
  EXPECT_EQ(*one.find("seed"), "9");
  EXPECT_EQ(*one.find("index"), "2");
  EXPECT_EQ(*one.find("steps"), "4");
  EXPECT_EQ(*one.find("guidance"), "1.0");
  EXPECT_EQ(*one.find("kind"), "\"picture\"");
  EXPECT_EQ(*recipe("grid.png").find("n"), "3");
  const Outcome shown = run_ddpm({"info", each_ + "/00002.png"});
  EXPECT_EQ(shown.status, 0);
  EXPECT_THAT(shown.out, HasSubstr("model_hash"));
  EXPECT_THAT(run_ddpm({"info", grid_, "--json"}).out, HasSubstr("\"kind\": \"grid\""));
}

TEST_F(CliRecipe, LikeMakesTheSameBits) {
  expect_made({"--n", "5", "--seed", "3", "--steps", "6", "--sampler", "ddpm", "--columns", "2",
               "--out", grid_, "--each", each_});
  expect_made({"--like", each_ + "/00003.png", "--out", folder_ / "one.png"});
  EXPECT_EQ(file("one.png"), file("each/00003.png"));
  expect_made({"--like", grid_, "--out", folder_ / "again.png", "--batch", "2"});
  EXPECT_EQ(file("again.png"), file("grid.png"));
  // Flags that say the same are no contradiction.
  expect_made({"--like", grid_, "--out", folder_ / "again.png", "--steps", "6", "--columns", "2"});
}

TEST_F(CliRecipe, LikeRefusesWhatWouldBeAnotherPicture) {
  expect_made({"--n", "1", "--steps", "3", "--out", grid_});
  const std::string out = folder_ / "again.png";
  expect_refused({"--like", grid_, "--out", out, "--steps", "4"}, "made with steps 3");
  expect_refused({"--like", grid_, "--out", out, "--seed", "4"}, "made with seed 0");
  expect_refused({"--like", grid_, "--out", out, "--device", "ref"}, "made with cpu");
  expect_refused({"--like", grid_, "--out", out, "--size", "8"}, "made with 1x2");
  expect_refused({"--like", grid_, "--each", each_}, "--each");
  write_file_atomic(folder_ / "plain.png", encode_png(decode_image(file("grid.png"), {})));
  expect_refused({"--like", folder_ / "plain.png", "--out", out}, "does not say how it was made");
  expect_refused({"--like", model_, "--out", out}, "not a PNG");
  std::string damaged = file("grid.png");
  damaged[damaged.find("\"seed\"") + 1] = 'x';
  write_file_atomic(folder_ / "damaged.png", damaged);
  expect_refused({"--like", folder_ / "damaged.png", "--out", out}, "checksum");

  MixtureFile other;
  other.stds = {0.2, 0.2};
  write_file_atomic(model_, other.bytes());
  expect_refused({"--like", grid_, "--out", out}, hash_hex(other.bytes()));
  expect_refused({"--like", grid_, "--out", out}, hash_hex(MixtureFile().bytes()));
  expect_refused({"--like", grid_, "--out", out}, "was " + model_);
}

TEST_F(CliRecipe, LikeMakesAPictureOfAClassAgain) {
  const std::string network = folder_ / "network.safetensors";
  make_model(network, 3, "downscale:2");
  make_pictures(folder_ / "inputs", 2);
  const auto run = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"sample", network, "--input", folder_ / "inputs"});
    const Outcome outcome = run_ddpm(flags);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
  };
  run({"--size", "8", "--n", "2", "--steps", "2", "--out", grid_, "--each", each_});
  run({"--like", grid_, "--out", folder_ / "again.png"});
  EXPECT_EQ(file("again.png"), file("grid.png"));
  for (const std::string& name : names_in(each_)) {
    run({"--like", each_ + "/" + name, "--out", folder_ / "one.png"});
    EXPECT_EQ(file("one.png"), file("each/" + name)) << name;
  }
  std::filesystem::remove_all(folder_ / "inputs");
  make_pictures(folder_ / "inputs", 1);
  test::expect_refused({"sample", network, "--input", folder_ / "inputs", "--like",
                        each_ + "/" + names_in(each_).back(), "--out", folder_ / "one.png"},
                       2, "drawn from another input");
}

TEST_F(CliRecipe, FinishedPicturesAreNotMadeAgain) {
  expect_made({"--n", "3", "--steps", "4", "--each", each_});
  const auto made = [&](int k) {
    return std::filesystem::last_write_time(each_ + "/0000" + std::to_string(k) + ".png");
  };
  const auto first = made(0);
  std::filesystem::remove(each_ + "/00001.png");
  const Outcome more = sample({"--n", "6", "--steps", "4", "--each", each_, "--out", grid_});
  ASSERT_EQ(more.status, 0) << more.err;
  EXPECT_THAT(more.out, HasSubstr("wrote 4 pictures"));
  EXPECT_THAT(more.out, HasSubstr("2 were there already"));
  EXPECT_EQ(made(0), first);
  // The grid shows also those that were there.
  expect_made({"--n", "6", "--steps", "4", "--each", folder_ / "new", "--out", folder_ / "b.png"});
  EXPECT_EQ(file("grid.png"), file("b.png"));
  for (const std::string& name : names_in(each_))
    EXPECT_EQ(file("each/" + name), file("new/" + name));
  const Outcome none = sample({"--n", "6", "--steps", "4", "--each", each_});
  EXPECT_EQ(none.status, 0);
  EXPECT_THAT(none.out, HasSubstr("6 were there already"));
}

TEST_F(CliRecipe, OtherFilesInTheWayAreNamed) {
  expect_made({"--n", "2", "--steps", "4", "--each", each_});
  const std::string before = file("each/00000.png");
  expect_refused({"--n", "2", "--steps", "5", "--each", each_},
                 "00000.png was made in another way");
  expect_refused({"--n", "2", "--steps", "5", "--each", each_}, "--overwrite");
  EXPECT_EQ(file("each/00000.png"), before);
  write_file_atomic(each_ + "/00001.png", "mine");
  expect_refused({"--n", "2", "--steps", "4", "--each", each_}, "00001.png is none of these");
  write_file_atomic(each_ + "/00001.png", encode_png(decode_image(before, {})));
  expect_refused({"--n", "2", "--steps", "4", "--each", each_}, "00001.png does not say how");
  expect_made({"--n", "2", "--steps", "4", "--each", each_, "--overwrite"});
  EXPECT_EQ(file("each/00000.png"), before);
}

// As after a loss of power, when a file has its name but not all of its contents.
TEST_F(CliRecipe, PicturesThatAreCutOffAreMadeAgain) {
  expect_made({"--n", "3", "--steps", "4", "--each", each_});
  const std::string before = file("each/00000.png"), second = file("each/00001.png");
  write_file_atomic(each_ + "/00000.png", before.substr(0, before.size() - 9));
  write_file_atomic(each_ + "/00001.png", "");
  const Outcome outcome = sample({"--n", "3", "--steps", "4", "--each", each_});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("wrote 2 pictures"));
  EXPECT_EQ(file("each/00000.png"), before);
  EXPECT_EQ(file("each/00001.png"), second);
}

TEST_F(CliRecipe, LinksAreNotWrittenThrough) {
  namespace fs = std::filesystem;
  const std::vector<std::string> flags = {"--n", "2", "--steps", "4", "--each", each_};
  expect_made(flags);
  const std::string first = file("each/00000.png"), other = folder_ / "other.png";
  const auto link = [&](const std::string& to) {
    fs::remove(each_ + "/00000.png");
    fs::create_symlink(to, each_ + "/00000.png");
  };
  // To a picture of the same recipe: it is finished.
  write_file_atomic(other, first);
  link(other);
  expect_made(flags);
  EXPECT_TRUE(is_link(each_ + "/00000.png"));
  write_file_atomic(other, "mine");
  expect_refused(flags, "00000.png is none of these");
  link(folder_ / "nothing");
  expect_refused(flags, "00000.png is a link that leads to no file");
  link("00000.png");  // in a circle
  expect_refused(flags, "00000.png is a link that leads to no file");
  link(folder_.path());
  expect_refused(flags, "00000.png is a link that leads to no file");
  for (const std::string& to : {other, folder_ / "nothing", folder_.path()}) {
    link(to);
    std::vector<std::string> anyway = flags;
    anyway.emplace_back("--overwrite");
    expect_made(anyway);
    EXPECT_FALSE(is_link(each_ + "/00000.png"));
    EXPECT_EQ(file("each/00000.png"), first);
  }
  EXPECT_EQ(read_file(other), "mine");
  EXPECT_FALSE(exists(folder_ / "nothing"));
}

TEST_F(CliRecipe, LikeTakesNoFolder) {
  make_folder(each_);
  expect_refused({"--like", each_, "--out", grid_}, "is a folder");
}

// The guide is given by a path from another folder than the one in which --like runs.
TEST_F(CliRecipe, LikeFindsTheGuide) {
  MixtureFile worse;
  worse.stds = {0.3, 0.3};
  const std::string guide = folder_ / "guides/worse.safetensors";
  make_folder(folder_ / "guides");
  make_folder(folder_ / "away");
  write_file_atomic(guide, worse.bytes());
  const auto in = [&](const std::string& folder, std::vector<std::string> words) {
    words.insert(words.begin(), {"sample", model_});
    return Program(words, {.prepare =
                               [&] {
                                 if (chdir(folder.c_str()) != 0) _exit(126);
                               }})
        .wait();
  };
  const Outcome made = in(folder_.path(), {"--guide", "guides/worse.safetensors", "--steps", "4",
                                           "--n", "1", "--out", grid_});
  ASSERT_EQ(made.status, 0) << made.err;
  const std::vector<std::string> like = {"--like", grid_, "--out", folder_ / "again.png"};
  const auto expect_same = [&](const std::vector<std::string>& words) {
    const Outcome again = in(folder_ / "away", words);
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(decode_image(file("again.png"), {}).shape(),
              decode_image(file("grid.png"), {}).shape());
    EXPECT_EQ(*recipe("again.png").find("guide_hash"), *recipe("grid.png").find("guide_hash"));
  };
  expect_same(like);
  EXPECT_EQ(file("again.png"), file("grid.png"));
  // Beside the picture.
  std::filesystem::rename(guide, folder_ / "worse.safetensors");
  expect_same(like);
  std::filesystem::rename(folder_ / "worse.safetensors", folder_ / "moved.safetensors");
  const auto expect_error = [&](const std::string& says) {
    const Outcome outcome = in(folder_ / "away", like);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.err, HasSubstr(says));
  };
  expect_error("tried " + guide + ", " + (folder_ / "worse.safetensors") + ". Give it as --guide");
  std::vector<std::string> with = like;
  with.insert(with.end(), {"--guide", folder_ / "moved.safetensors"});
  expect_same(with);
  // Another file of the name.
  write_file_atomic(guide, MixtureFile().bytes());
  expect_error("made with another --guide");
}

TEST_F(CliRecipe, AnInterruptedCommandKeepsWholePicturesAndGoesOn) {
  const std::vector<std::string> words = {"sample", model_,   "--n", "3000",    "--steps",
                                          "20",     "--each", each_, "--batch", "1"};
  for (const int signal : {SIGINT, SIGKILL}) {
    Program program(words);
    const size_t before = std::filesystem::exists(each_) ? names_in(each_).size() : 0;
    for (int i = 0; i < 3000; ++i) {
      if (std::filesystem::exists(each_) && names_in(each_).size() > before + 4) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    program.signal(signal);
    EXPECT_NE(program.wait().status, 0);
    size_t whole = 0;
    for (const std::string& name : names_in(each_)) {
      if (!name.ends_with(".png")) continue;  // a killed program leaves its temporary file
      EXPECT_EQ(png_damage(file("each/" + name)), "");
      ++whole;
    }
    EXPECT_GT(whole, before);
    EXPECT_LT(whole, 3000u);
  }
  const Outcome outcome = sample({"--n", "20", "--steps", "20", "--each", each_});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("there already"));
}

}  // namespace
}  // namespace ddpm::test
