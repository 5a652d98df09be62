// Tests the fingerprints of loaded sources, and the absolute names of sources.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "ddpm/base/hash.h"
#include "ddpm/data/source.h"
#include "ddpm/data/source_files.h"
#include "ddpm/data/source_test_support.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace test;

std::vector<std::string> names(const DataFingerprint& fingerprint) {
  std::vector<std::string> names;
  for (const SourceFile& file : fingerprint.files) names.push_back(file.name);
  return names;
}

TEST_F(SourceTest, TheFingerprintHoldsTheFilesThatGavePictures) {
  add("b.png", flat(8, 8, {2}));
  add("a/1.png", flat(8, 8, {1}));
  add("damaged.png", "x"s);
  add("notes.txt", "x"s);
  const DataFingerprint found = load().dataset.fingerprint();
  EXPECT_EQ(names(found), (std::vector<std::string>{"a/1.png", "b.png"}));
  const std::string contents = read_file(folder_ / "b.png");
  EXPECT_EQ(found.files[1].hash, hash_hex(contents));
  EXPECT_EQ(found.files[1].bytes, static_cast<int64_t>(contents.size()));
}

TEST_F(SourceTest, AFolderIsTheSameByEveryPath) {
  add("data/a.png", flat(8, 8, {1}));
  add("data/sub/b.png", flat(8, 8, {2}));
  fs::create_directory_symlink("data", folder_ / "link");
  const auto hash = [&](const std::string& path) {
    return load_source(path, {{8, 8}}).dataset.fingerprint().hash();
  };
  const std::string before = hash(folder_ / "data");
  EXPECT_EQ(hash(folder_ / "link"), before);
  EXPECT_EQ(hash((folder_ / "data").string() + "//"), before);
  EXPECT_EQ(hash("folder:" + (folder_ / "data/sub/..").string()), before);
  fs::rename(folder_ / "data", folder_ / "moved");
  EXPECT_EQ(hash(folder_ / "moved"), before);
}

TEST_F(SourceTest, ContentsAreHashedAgainWhereSizeOrTimeChanged) {
  add("a.png", flat(8, 8, {1}));
  DataFingerprint known = load().dataset.fingerprint();
  const std::string real = known.files[0].hash, marked(32, '0');
  // A marked hash shows whether it is kept.
  known.files[0].hash = marked;
  const auto loaded = [&] {
    return load_source(folder_, {{8, 8}, "auto", "white", &known})
        .dataset.fingerprint()
        .files[0]
        .hash;
  };
  EXPECT_EQ(loaded(), marked);
  ++known.files[0].bytes;
  EXPECT_EQ(loaded(), real);
  --known.files[0].bytes;
  fs::last_write_time(folder_ / "a.png",
                      fs::last_write_time(folder_ / "a.png") + std::chrono::nanoseconds(1));
  EXPECT_EQ(loaded(), real);
}

TEST_F(SourceTest, TimesFarAwayAreOrdinary) {
  add("a.png", flat(8, 8, {1}));
  // The year 2477.
  timespec times[2] = {{16'000'000'000, 5}, {16'000'000'000, 5}};
  ASSERT_EQ(utimensat(AT_FDCWD, (folder_ / "a.png").c_str(), times, 0), 0);
  const DataFingerprint far = load().dataset.fingerprint();
  // The year 1906.
  times[1].tv_sec = times[0].tv_sec = -2'000'000'000;
  ASSERT_EQ(utimensat(AT_FDCWD, (folder_ / "a.png").c_str(), times, 0), 0);
  const DataFingerprint early = load().dataset.fingerprint();
  EXPECT_NE(far.files[0].modified_ns, early.files[0].modified_ns);
  EXPECT_EQ(far.hash(), early.hash());
}

TEST_F(SourceTest, NamesThatAreNotUtf8AreFiles) {
  add("caf\xe9.png", flat(8, 8, {1}));
  add("zeile\n2.png", flat(8, 8, {2}));
  const DataFingerprint found = load().dataset.fingerprint();
  EXPECT_EQ(names(found), (std::vector<std::string>{"caf\xe9.png", "zeile\n2.png"}));
  EXPECT_EQ(fingerprint_from_text(to_text(found), "text").files, found.files);
}

TEST_F(SourceTest, EmojiAreKnownByFontAndTable) {
  const DataFingerprint found = load_source("emoji:cat-face", {{8, 8}}).dataset.fingerprint();
  EXPECT_EQ(names(found),
            (std::vector<std::string>{"NotoColorEmoji.ttf", "emoji-test.txt:cat-face"}));
  const DataFingerprint other = load_source("emoji:monkey-face", {{8, 8}}).dataset.fingerprint();
  EXPECT_NE(describe_changes(found, other), "");
}

class WorkingDirectory {
 public:
  explicit WorkingDirectory(const fs::path& path) : before_(fs::current_path()) {
    fs::current_path(path);
  }
  ~WorkingDirectory() { fs::current_path(before_); }

 private:
  fs::path before_;
};

TEST_F(SourceTest, AbsoluteSourcesWorkFromEverywhere) {
  add("photos/a.png", flat(8, 8, {1}));
  add("emoji/b.png", flat(8, 8, {1}));
  const std::string here = fs::canonical(folder_);
  const WorkingDirectory inside(here);
  EXPECT_EQ(absolute_source("photos"), here + "/photos");
  EXPECT_EQ(absolute_source("folder:photos"), "folder:" + here + "/photos");
  EXPECT_EQ(absolute_source("./emoji"), here + "/./emoji");
  EXPECT_EQ(absolute_source("mnist:d"), "mnist:" + here + "/d");
  EXPECT_EQ(absolute_source("cifar10:/d"), "cifar10:/d");
  EXPECT_EQ(absolute_source(here + "/photos"), here + "/photos");
  EXPECT_EQ(absolute_source("emoji"), "emoji");
  EXPECT_EQ(absolute_source("emoji:cat-face"), "emoji:cat-face");
  EXPECT_EQ(absolute_source("caf\xe9"), here + "/caf\xe9");
  EXPECT_THROW(absolute_source(""), UsageError);
  EXPECT_THROW(absolute_source("imagenet:d"), UsageError);
}

TEST_F(SourceTest, RunDirectoriesAreKnown) {
  const auto is_run = [&](const char* name) { return is_run_directory(folder_ / name); };
  add("photos/config.json", "{}"s);
  add("photos/model.safetensors", "{}"s);
  // The same files as those of a model from elsewhere.
  EXPECT_FALSE(is_run("photos"));
  EXPECT_FALSE(is_run("absent"));
  EXPECT_FALSE(is_run("photos/config.json"));
  add("run/metrics.jsonl", "{}"s);
  EXPECT_FALSE(is_run("run"));
  fs::create_directory(folder_ / "run/checkpoints");
  EXPECT_TRUE(is_run("run"));
  fs::remove(folder_ / "run/metrics.jsonl");
  EXPECT_FALSE(is_run("run"));
  add("run/config.json", "{}"s);
  EXPECT_TRUE(is_run("run"));
  // As if the user had moved them away.
  fs::remove(folder_ / "run/checkpoints");
  add("run/metrics.jsonl", "{}"s);
  EXPECT_TRUE(is_run("run"));
}

TEST_F(SourceTest, ARunIsNeverASource) {
  add("a.png", flat(8, 8, {1}));
  const std::string before = load().dataset.fingerprint().hash();
  add("run/samples/step-00000010.png", flat(8, 8, {9}));
  add("run/config.json", "{}"s);
  fs::create_directory(folder_ / "run/checkpoints");
  const LoadedSource loaded = load();
  EXPECT_EQ(loaded.report.loaded, 1);
  EXPECT_EQ(loaded.dataset.fingerprint().hash(), before);
  EXPECT_TRUE(loaded.report.skipped.empty());
  EXPECT_SAYS(loaded.report.note, (folder_ / "run").string());
  EXPECT_THROW(load_source(folder_ / "run", {{8, 8}}), UsageError);
  EXPECT_THROW(load_source("folder:" + (folder_ / "run").string(), {{8, 8}}), UsageError);
  EXPECT_SAYS(why(folder_ / "run"), "Give the folder of the pictures");
}

}  // namespace
}  // namespace ddpm
