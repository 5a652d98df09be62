#include "ddpm/data/source_classes.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "ddpm/data/fingerprint.h"
#include "ddpm/data/source_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::flat;
using Names = std::vector<std::string>;
using Labels = std::vector<int64_t>;

class SourceClasses : public test::SourceTest {
 protected:
  LoadedSource load(const std::string& prefix = "", const std::string& table = "") const {
    return load_source(prefix + folder_.string(), options(table));
  }
  std::string refusal(const std::string& source, const std::string& table = "") const {
    return test::refusal([&] { load_source(source, options(table)); });
  }
  std::string with_table(const std::string& text) const {
    add("labels.csv", text);
    return refusal(folder_, table());
  }
  std::string table() const { return (folder_ / "labels.csv").string(); }

 private:
  static SourceOptions options(const std::string& table) {
    SourceOptions options{.size = {8, 8}, .channels = "auto", .background = "white"};
    options.classes = table.empty();
    options.labels = table;
    return options;
  }
};

TEST_F(SourceClasses, TheFoldersInsideAFolder) {
  for (const char* name : {"10/a", "10/inside/b", "2/c", "cat/d", "e", "2/damaged"})
    add(std::string(name) + ".png", flat(9, 9, {1, 2, 3}));
  add("2/damaged.png", "no picture");
  const LoadedSource source = load();
  EXPECT_EQ(source.dataset.class_names(), (Names{"2", "10", "cat"}));
  EXPECT_EQ(source.dataset.labels(), (Labels{1, 1, 0, 2, -1}));
  EXPECT_EQ(source.dataset.batch({.indices = {3, 4}}).labels.values(), (std::vector<float>{2, -1}));
  // Without being asked for they are not there, and the fingerprint is what it was.
  const LoadedSource plain = SourceTest::load();
  EXPECT_TRUE(plain.dataset.class_names().empty());
  EXPECT_EQ(plain.dataset.fingerprint().files.size(), 5u);
  EXPECT_EQ(source.dataset.fingerprint().files.size(), 7u);
}

TEST_F(SourceClasses, AFolderWithoutFoldersHasNone) {
  add("a.png", flat(9, 9, {1, 2, 3}));
  EXPECT_SAYS(refusal(folder_), "holds no folders to take as classes");
  EXPECT_SAYS(refusal(folder_), "--labels FILE.csv");
}

TEST_F(SourceClasses, AClassWhosePicturesAreAllDamagedIsNamed) {
  add("a/1.png", flat(9, 9, {1, 2, 3}));
  add("b/1.png", "no picture");
  EXPECT_SAYS(refusal(folder_), "no picture of the class 'b' can be read");
}

TEST_F(SourceClasses, ATableOfFiles) {
  for (const char* name : {"a", "b", "in/c", "d", "e"})
    add(std::string(name) + ".png", flat(9, 9, {1, 2, 3}));
  add("labels.csv", "file,class\n./a.png,dog\nin/c.png,cat\nb.png,\na.png,dog\n\"d.png\",cat\n");
  const LoadedSource source = load("", table());
  EXPECT_EQ(source.dataset.class_names(), (Names{"cat", "dog"}));
  EXPECT_EQ(source.dataset.labels(), (Labels{1, -1, 0, -1, 0}));
}

TEST_F(SourceClasses, ATableMayNameDamagedPictures) {
  add("a.png", flat(9, 9, {1, 2, 3}));
  add("b.png", "no picture");
  add("labels.csv", "a.png,cat\nb.png,cat\n");
  EXPECT_EQ(load("", table()).dataset.labels(), (Labels{0}));
  EXPECT_SAYS(with_table("a.png,cat\nb.png,dog\n"), "no picture of the class 'dog' can be read");
}

TEST_F(SourceClasses, WhatIsWrongWithATableIsSaid) {
  add("a.png", flat(9, 9, {1, 2, 3}));
  add("in/b.png", flat(9, 9, {1, 2, 3}));
  EXPECT_SAYS(with_table("a.png,cat\nb.png,dog\n"), "names a file that is no picture of");
  EXPECT_SAYS(with_table("a.png,cat\nb.png,dog\n"), "b.png (line 2); did you mean in/b.png?");
  EXPECT_SAYS(with_table("a.png,cat\nx.png,dog\ny.png,dog\n"),
              "names 2 files that are no pictures");
  EXPECT_SAYS(with_table("x.png,cat\na.png,dog\n"), "x.png (line 1)");  // no heading
  EXPECT_SAYS(with_table("a.png,cat\na.png,dog\n"),
              "two classes: 'cat' in line 1 and 'dog' in line 2");
  EXPECT_SAYS(with_table("file,class\n"), "gives no picture of");
  EXPECT_SAYS(with_table("a.png,\n"), "gives no picture of");
  EXPECT_SAYS(refusal("emoji:cat-face", table()), "has classes of its own: give --classes");
}

TEST_F(SourceClasses, TheFingerprintTellsClassesAndTheirNames) {
  add("a.png", flat(9, 9, {1, 2, 3}));
  add("b.png", flat(9, 9, {1, 2, 3}));
  const auto fingerprint = [&](const std::string& text) {
    add("labels.csv", text);
    return load("", table()).dataset.fingerprint();
  };
  const DataFingerprint first = fingerprint("a.png,cat\nb.png,dog\n");
  EXPECT_EQ(describe_changes(first, fingerprint("b.png,dog\na.png,cat\n")), "");
  EXPECT_EQ(describe_changes(first, fingerprint("a.png,dog\nb.png,cat\n")),
            "1 file changed (/labels)");
  EXPECT_EQ(describe_changes(first, fingerprint("a.png,cat\nb.png,eel\n")),
            "1 file changed (/classes)");
  EXPECT_EQ(describe_changes(first, SourceTest::load().dataset.fingerprint()),
            "2 files removed (/classes, /labels)");
  EXPECT_EQ(fingerprint_from_text(to_text(first), "data.jsonl").hash(), first.hash());
}

TEST_F(SourceClasses, Cifar10AndEmojiHaveTheirs) {
  std::string records;
  for (const char label : {9, 3, 9}) records += label + std::string(3072, 'x');
  add("data_batch_1.bin", records);
  const LoadedSource cifar = load("cifar10:");
  EXPECT_EQ(cifar.dataset.class_names(), (Names{"cat", "truck"}));
  EXPECT_EQ(cifar.dataset.labels(), (Labels{1, 0, 1}));

  const SourceOptions options{.size = {8, 8}, .classes = true};
  const Names groups = load_source("emoji", options).dataset.class_names();
  EXPECT_TRUE(std::find(groups.begin(), groups.end(), "food-drink") != groups.end());
  const Names inside = load_source("emoji:smileys-emotion", options).dataset.class_names();
  EXPECT_TRUE(std::find(inside.begin(), inside.end(), "cat-face") != inside.end());
  EXPECT_EQ(load_source("emoji:cat-face", options).dataset.class_names(), (Names{"cat-face"}));
}

TEST_F(SourceClasses, ThoseThatAreWorthLearningAreTakenIfAskedFor) {
  const SourceOptions usable{.size = {8, 8}, .usable_classes = true};
  const auto names = [&] { return load_source(folder_, usable).dataset.class_names(); };
  for (int i = 0; i < 9; ++i) add(fmt::format("cat/{}.png", i), flat(9, 9, {1, 2, 3}));
  EXPECT_EQ(names(), Names{});  // one class tells nothing apart
  for (int i = 0; i < 6; ++i) add(fmt::format("dog/{}.png", i), flat(9, 9, {1, 2, 3}));
  EXPECT_EQ(names(), Names{});  // fewer than 8 pictures of each
  add("dog/6.png", flat(9, 9, {1, 2, 3}));
  EXPECT_EQ(names(), (Names{"cat", "dog"}));
  add("1.png", flat(9, 9, {1, 2, 3}));
  EXPECT_EQ(names(), (Names{"cat", "dog"}));
  add("2.png", flat(9, 9, {1, 2, 3}));
  EXPECT_EQ(names(), Names{});  // more than a tenth has none
}

TEST_F(SourceClasses, MnistWithoutLabelsHasNoUsableClasses) {
  const std::string images = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6};
  add("train-images-idx3-ubyte", images);
  const LoadedSource source = load_source("mnist:" + folder_.string(), {.usable_classes = true});
  EXPECT_EQ(source.dataset.class_names(), Names{});
}

TEST_F(SourceClasses, MnistNeedsItsLabelsBesideItsImages) {
  const std::string images = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6};
  add("train-images-idx3-ubyte", images);
  EXPECT_SAYS(refusal("mnist:" + folder_.string()), "there are no labels beside");
  const std::string labels = {0, 0, 8, 1, 0, 0, 0, 3, 7, 12, 7};
  add("train-labels-idx1-ubyte", labels);
  const LoadedSource source = load("mnist:");
  EXPECT_EQ(source.dataset.class_names(), (Names{"7", "12"}));
  EXPECT_EQ(source.dataset.labels(), (Labels{0, 1, 0}));
  const auto why_not = [&](const std::string& bytes) {
    add("train-labels-idx1-ubyte", bytes);
    try {
      load("mnist:");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_SAYS(why_not(labels.substr(0, 10)), "holds 2 labels");
  EXPECT_SAYS(why_not(labels + "x"), "holds 4 labels");
  EXPECT_SAYS(why_not(images), "is no IDX file of labels");
  EXPECT_SAYS(why_not(""), "is no IDX file of labels");
}

}  // namespace
}  // namespace ddpm
