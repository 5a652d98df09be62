#include "ddpm/data/source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/image.h"
#include "ddpm/data/source_kinds.h"
#include "ddpm/data/source_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace test;

TEST_F(SourceTest, AFolderIsReadInTheOrderOfItsPaths) {
  add("b/2.PNG", flat(9, 20, {20}));
  // The contents decide how a file is read.
  add("c.JPG", flat(8, 8, {30}));
  add("a.png", flat(30, 10, {10}));
  add(".hidden.png", flat(8, 8, {1}));
  add(".cache/x.png", flat(8, 8, {2}));
  add("notes.txt", "not a picture"s);
  const LoadedSource loaded = load();
  EXPECT_EQ(first_bytes(loaded.dataset), (std::vector<int>{10, 20, 30}));
  EXPECT_EQ(loaded.dataset.images().shape(), (Shape{3, 8, 8, 1}));
  EXPECT_EQ(loaded.report.loaded, 3);
  EXPECT_TRUE(loaded.report.skipped.empty());
}

TEST_F(SourceTest, TheOrderDoesNotDependOnTheThreads) {
  for (int i = 0; i < 40; ++i) add(std::to_string(i) + ".png", flat(8, 8, {i}));
  const int threads = num_threads();
  set_num_threads(1);
  const std::vector<int> alone = first_bytes(load().dataset);
  set_num_threads(4);
  EXPECT_EQ(first_bytes(load().dataset), alone);
  set_num_threads(threads);
}

TEST_F(SourceTest, DamagedFilesAreSkippedAndNamed) {
  Tensor noise({40, 40, 3}, DType::kUInt8);
  for (int64_t i = 0; i < noise.elements(); ++i) noise.u8()[i] = static_cast<uint8_t>(i * i % 251);
  add("good.png", noise);
  add("empty.png", ""s);
  add("text.png", "hello"s);
  add("cut.png", encode_png(noise).substr(0, encode_png(noise).size() / 2));
  fs::create_symlink("nowhere", folder_ / "dangling.png");
  const LoadReport report = load().report;
  EXPECT_EQ(report.loaded, 1);
  ASSERT_EQ(report.skipped.size(), 4u);
  const char* names[] = {"cut.png", "dangling.png", "empty.png", "text.png"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(report.skipped[i].path, folder_ / names[i]);
    EXPECT_FALSE(report.skipped[i].reason.empty());
  }
  EXPECT_EQ(report.skipped[2].reason, "the file is empty");
}

TEST_F(SourceTest, LinksInCirclesEnd) {
  add("a/1.png", flat(8, 8, {1}));
  fs::create_directory_symlink("..", folder_ / "a" / "up");
  fs::create_directory_symlink(".", folder_ / "self");
  EXPECT_EQ(load().report.loaded, 1);
}

TEST_F(SourceTest, ChannelsFollowFromThePictures) {
  add("1.png", flat(8, 8, {9, 9, 9}));
  EXPECT_EQ(load().dataset.channels(), 1);
  add("2.png", flat(8, 8, {9, 9, 8}));
  EXPECT_EQ(load().dataset.channels(), 3);
  add("3.png", flat(8, 8, {9, 9, 8, 255}));
  EXPECT_EQ(load().dataset.channels(), 3);
  add("4.png", flat(8, 8, {9, 9, 8, 100}));
  EXPECT_EQ(load().dataset.channels(), 4);
  EXPECT_EQ(load("", "1").dataset.channels(), 1);
}

TEST_F(SourceTest, TransparencyTakesTheBackground) {
  add("1.png", flat(8, 8, {0, 0, 0, 0}));
  EXPECT_EQ(first_bytes(load("", "3", "#c81020").dataset), (std::vector<int>{200}));
  EXPECT_EQ(first_bytes(load("", "3", "white").dataset), (std::vector<int>{255}));
}

TEST_F(SourceTest, ProgressCountsEveryFile) {
  for (int i = 0; i < 5; ++i) add(std::to_string(i) + ".png", flat(8, 8, {i}));
  add("bad.png", "x"s);
  std::vector<int64_t> seen;
  load_source(folder_, {{8, 8}, "auto", "white"}, [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 6);
    seen.push_back(done);
  });
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 2, 3, 4, 5, 6}));
}

TEST_F(SourceTest, ProgressCanStopTheLoading) {
  for (int i = 0; i < 20; ++i) add(std::to_string(i) + ".png", flat(8, 8, {i}));
  struct Stop {};
  EXPECT_THROW(load_source(folder_, {{8, 8}, "auto", "white"},
                           [](int64_t done, int64_t) {
                             if (done == 3) throw Stop();
                           }),
               Stop);
}

TEST_F(SourceTest, NothingUsableSaysWhatWasLookedFor) {
  EXPECT_SAYS(why(folder_ / "absent"), "no such folder");
  EXPECT_SAYS(why(folder_), "is empty; looked for pictures (PNG");
  add("a.txt", "x"s);
  add("b.txt", "x"s);
  EXPECT_SAYS(why(folder_), "holds no pictures; looked for pictures (PNG");
  EXPECT_SAYS(why(folder_), "found 2 files that are not pictures (2 .txt)");
  EXPECT_SAYS(why(folder_ / "a.txt"), "is neither a .zip nor a .tar archive");
  add("a.png", "x"s);
  EXPECT_SAYS(why(folder_), "none of 1 can be read");
  EXPECT_SAYS(why(folder_), "a.png: this is not a PNG");
}

TEST_F(SourceTest, ImpossibleRequestsAreUsageErrors) {
  add("a.png", flat(8, 8, {1}));
  EXPECT_THROW(load("", "2"), UsageError);
  EXPECT_THROW(load("", "auto", "pinkish"), UsageError);
  // A folder has no size of its own.
  EXPECT_THROW(load_source(folder_, {}), UsageError);
  EXPECT_THROW(load_source("", {{8, 8}}), UsageError);
  EXPECT_THROW(load_source("mnist", {{8, 8}}), UsageError);
  EXPECT_THROW(load_source("imagenet:/data", {{8, 8}}), UsageError);
  EXPECT_THROW(load_source("emoji:no-such-group", {{8, 8}}), UsageError);
}

std::string cifar(int records, int label) {
  std::string file;
  for (int i = 0; i < records; ++i) {
    file += static_cast<char>(label);
    for (const int plane : {10, 20, 30}) file += std::string(1024, static_cast<char>(plane + i));
  }
  return file;
}

TEST_F(SourceTest, CifarPlanesBecomePixels) {
  add("data_batch_2.bin", cifar(1, 9));
  add("data_batch_1.bin", cifar(2, 0));
  add("test_batch.bin", cifar(1, 0));
  const Dataset data = load_source("cifar10:" + folder_.string(), {}).dataset;
  ASSERT_EQ(data.images().shape(), (Shape{3, 32, 32, 3}));
  const uint8_t* last = data.images().u8() + 1 * 32 * 32 * 3 + 17 * 3;
  EXPECT_EQ(std::vector<int>(last, last + 3), (std::vector<int>{11, 21, 31}));
}

TEST_F(SourceTest, DamagedCifarFilesAreSkipped) {
  const std::string source = "cifar10:" + folder_.string();
  EXPECT_SAYS(why(source), "holds no data_batch_*.bin");
  add("data_batch_1.bin", cifar(2, 0).substr(1));
  EXPECT_SAYS(why(source), "not a whole number of 3073-byte records");
  add("data_batch_2.bin", cifar(1, 10));
  add("data_batch_3.bin", cifar(4, 3));
  const LoadReport report = load("cifar10:").report;
  EXPECT_EQ(report.loaded, 4);
  ASSERT_EQ(report.skipped.size(), 2u);
  EXPECT_SAYS(report.skipped[1].reason, "label 10");
}

TEST_F(SourceTest, EmojiFacesAreThereInColour) {
  const LoadedSource faces = load_source("emoji:smileys-emotion", {{32, 32}, "auto", "white"});
  const Dataset& data = faces.dataset;
  EXPECT_GT(data.size(), 100);
  EXPECT_EQ(data.channels(), 3);
  EXPECT_TRUE(faces.report.skipped.empty());
  EXPECT_SAYS(faces.report.note, "left out");
  std::set<std::string> different;
  for (int64_t i = 0; i < data.size(); ++i) {
    const uint8_t* picture = data.images().u8() + i * 32 * 32 * 3;
    different.insert({picture, picture + 32 * 32 * 3});
  }
  EXPECT_EQ(static_cast<int64_t>(different.size()), data.size());
  // The first emoji is the grinning face, with a yellow cheek and a white corner.
  const uint8_t* corner = data.images().u8();
  const uint8_t* cheek = corner + (18 * 32 + 4) * 3;
  EXPECT_EQ(std::vector<int>(corner, corner + 3), (std::vector<int>{255, 255, 255}));
  EXPECT_GT(cheek[0], 220);
  EXPECT_GT(cheek[1], 150);
  EXPECT_LT(cheek[2], 120);
}

TEST_F(SourceTest, EmojiSubgroupsAndTransparency) {
  const Dataset cats = load_source("emoji:cat-face", {{16, 16}, "4", "white"}).dataset;
  EXPECT_EQ(cats.images().shape(), (Shape{9, 16, 16, 4}));
  EXPECT_EQ(cats.images().u8()[3], 0);
}

TEST_F(SourceTest, MissingEmojiFilesNameTheirPackage) {
  const auto why_not = [](const EmojiFiles& files) {
    return test::message_of([&] { list_emoji("", std::make_shared<FileReader>(nullptr), files); });
  };
  EXPECT_SAYS(why_not({.font = folder_ / "no.ttf"}), "package fonts-noto-color-emoji");
  EXPECT_SAYS(why_not({.table = folder_ / "no.txt"}), "package unicode-data");
  add("text.ttf", "no font"s);
  EXPECT_SAYS(why_not({.font = folder_ / "text.ttf"}), "is not a font");
  // The name is missing.
  add("cut.txt", "1F600 ; fully-qualified #"s);
  EXPECT_SAYS(why_not({.font = folder_ / "text.ttf", .table = folder_ / "cut.txt"}),
              "is not a font");
  add("empty.txt", "# group: Smileys & Emotion\n"s);
  EXPECT_SAYS(why_not({.table = folder_ / "empty.txt"}), "lists no emoji");
}

}  // namespace
}  // namespace ddpm
