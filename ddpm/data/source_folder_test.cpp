// Tests which files of a folder are pictures, and what the report says about the others.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "ddpm/data/source.h"
#include "ddpm/data/source_test_support.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace test;

std::string reason(const LoadReport& report, const fs::path& path) {
  for (const SkippedFile& file : report.skipped)
    if (file.path == path) return file.reason;
  return "";
}

TEST_F(SourceTest, ContentsDecideWhatIsAPicture) {
  add("a", flat(8, 8, {10}));
  add("b.jfif", flat(8, 8, {20}));
  add("c.jpe", flat(8, 8, {30}));
  add("d.txt", flat(8, 8, {40}));
  add("e.png", flat(8, 8, {50}));
  add("f.bak.old/g.7", flat(8, 8, {60}));
  const LoadedSource loaded = load();
  EXPECT_EQ(first_bytes(loaded.dataset), (std::vector<int>{10, 20, 30, 40, 50, 60}));
  EXPECT_TRUE(loaded.report.skipped.empty());
  EXPECT_EQ(loaded.report.note, "");
}

TEST_F(SourceTest, WhatIsLeftOutIsSaid) {
  add("a.png", flat(8, 8, {1}));
  add("one.TXT", "x"s);
  add("two.txt", "BMW is no bitmap"s);
  add("film.mp4", "\0\0\0\x18"s + "ftypisom\0\0\0\0isomavc1"s);
  EXPECT_EQ(load().report.note, "left out 3 files that are not pictures (2 .txt, 1 .mp4)");
  add("README", ""s);
  add("run/metrics.jsonl", "{}"s);
  add("run/config.json", "{}"s);
  const LoadReport report = load().report;
  EXPECT_EQ(
      report.note,
      "left out 4 files that are not pictures (2 .txt, 1 without extension, 1 .mp4), the run " +
          (folder_ / "run").string());
  EXPECT_TRUE(report.skipped.empty());
}

TEST_F(SourceTest, ManyKindsAreCutShort) {
  add("a.png", flat(8, 8, {1}));
  for (int i = 0; i < 9; ++i) add("x." + std::to_string(i), "x"s);
  EXPECT_EQ(
      load().report.note,
      "left out 9 files that are not pictures (1 .0, 1 .1, 1 .2, 1 .3, 1 .4, 1 .5, 3 others)");
}

TEST_F(SourceTest, PicturesThatAreNotReadAreNamed) {
  add("a.png", flat(8, 8, {1}));
  add("b.jxl", "\xff\x0a and more"s);
  // The name does not make it a picture.
  add("c.jpg", "8BPS and more"s);
  add("d", "<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"s);
  add("e.png", "this is a text"s);
  add("f.dng", "II*\0\x08\0\0\0"s + std::string(60, '\0'));
  const LoadReport report = load().report;
  EXPECT_EQ(report.loaded, 1);
  EXPECT_EQ(report.skipped.size(), 5u);
  EXPECT_EQ(reason(report, folder_ / "b.jxl"), "JPEG XL is not read; convert it to PNG or JPEG");
  EXPECT_SAYS(reason(report, folder_ / "c.jpg"), "Photoshop's PSD is not read");
  EXPECT_SAYS(reason(report, folder_ / "d"), "SVG is not read");
  EXPECT_SAYS(reason(report, folder_ / "e.png"), "this is not a PNG");
  EXPECT_SAYS(reason(report, folder_ / "f.dng"), "a camera's raw file is not read");
  EXPECT_EQ(report.note, "");
}

TEST_F(SourceTest, PipesAreNotOpened) {
  add("a.png", flat(8, 8, {1}));
  ASSERT_EQ(mkfifo((folder_ / "b.png").c_str(), 0600), 0);
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  // Opening the pipe would wait for ever.
  const LoadReport report = load().report;
  EXPECT_EQ(reason(report, folder_ / "b.png"), "this is not a regular file");
  EXPECT_EQ(report.skipped.size(), 1u);
  EXPECT_EQ(report.note, "left out 1 file that is not a picture (1 without extension)");
}

TEST_F(SourceTest, LargeFilesAreReadOnlyWhereTheyAreReadable) {
  add("a.png", flat(8, 8, {1}));
  add("b.png", "a text"s);
  add("c.png", flat(8, 8, {2}));
  add("d.png", flat(8, 8, {3}));
  // A sparse file: it takes no space.
  fs::resize_file(folder_ / "b.png", uintmax_t{1} << 40);
  fs::resize_file(folder_ / "c.png", uintmax_t{1} << 40);
  // Zeros after a picture are harmless.
  fs::resize_file(folder_ / "d.png", uintmax_t{1} << 26);
  const LoadedSource loaded = load();
  EXPECT_EQ(first_bytes(loaded.dataset), (std::vector<int>{1, 3}));
  EXPECT_SAYS(reason(loaded.report, folder_ / "b.png"), "this is not a PNG");
  EXPECT_EQ(reason(loaded.report, folder_ / "c.png"),
            "the file has 1099511627776 bytes, more than the 2147483648 that are read");
}

}  // namespace
}  // namespace ddpm
