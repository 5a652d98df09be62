#include "ddpm/data/source_pairs.h"

#include <gtest/gtest.h>

#include "ddpm/data/source_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using namespace test;

class Pairs : public SourceTest {
 protected:
  LoadedPictures pairs(const DataFingerprint* known = nullptr) const {
    return load_pairs((folder_ / "photos").string(), (folder_ / "edges").string(),
                      {.size = {8, 8}, .known = known});
  }
  // Why the pictures of the source, or of photos, cannot be paired with edges.
  std::string why_not(const std::string& source = "") const {
    return refusal([&] {
      load_pairs(source.empty() ? (folder_ / "photos").string() : source,
                 (folder_ / "edges").string(), {.size = {8, 8}});
    });
  }
};

int byte_of(const Tensor& picture) { return to_bytes(picture).u8()[0]; }

TEST_F(Pairs, PartnersHaveTheSameNameWhateverTheExtension) {
  add("photos/a.png", flat(8, 8, {10, 20, 30}));
  add("photos/in/b.png", flat(8, 8, {40, 50, 60}));
  add("photos/c.png", flat(8, 8, {70, 80, 90}));
  add("edges/in/b.png", flat(16, 16, {140}));
  add("edges/a.gif", flat(8, 8, {110}));  // a PNG by another name
  add("edges/d.png", flat(8, 8, {170}));
  const LoadedPictures loaded = pairs();
  const Pictures& pictures = *loaded.pictures;
  EXPECT_EQ(pictures.size(), 2);
  EXPECT_EQ(pictures.channels(), 3);
  EXPECT_EQ(pictures.condition_channels(), 1);
  const Batch batch = pictures.batch({{0, 1}, {}});
  EXPECT_EQ(byte_of(batch.images.rows(0, 1)), 10);
  EXPECT_EQ(byte_of(batch.condition.rows(0, 1)), 110);
  EXPECT_EQ(byte_of(batch.images.rows(1, 2)), 40);
  EXPECT_EQ(byte_of(batch.condition.rows(1, 2)), 140);
  // The missing partner and the extra one are named.
  EXPECT_EQ(loaded.report.loaded, 2);
  ASSERT_EQ(loaded.report.skipped.size(), 2u);
  EXPECT_SAYS(loaded.report.skipped[0].path, "photos/c.png");
  EXPECT_SAYS(loaded.report.skipped[0].reason, "no picture c.* in");
  EXPECT_SAYS(loaded.report.skipped[1].path, "edges/d.png");
  EXPECT_SAYS(loaded.report.note, "condition of 1 channel");
}

TEST_F(Pairs, APairHasTheClassOfItsPicture) {
  add("photos/cat/a.png", flat(8, 8, {10}));
  add("photos/cat/b.png", flat(8, 8, {20}));
  add("photos/dog/c.png", flat(8, 8, {30}));
  add("edges/cat/b.png", flat(8, 8, {120}));
  add("edges/dog/c.png", flat(8, 8, {130}));
  const LoadedPictures loaded =
      load_pairs((folder_ / "photos").string(), (folder_ / "edges").string(),
                 {.size = {8, 8}, .classes = true});
  EXPECT_EQ(loaded.pictures->class_names(), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(loaded.pictures->batch({{1, 0}, {}}).labels.values(), (std::vector<float>{1, 0}));
  EXPECT_EQ(loaded.report.labels.of_pictures, (std::vector<int64_t>{0, 1}));
  std::vector<std::string> names;
  for (const SourceFile& file : loaded.pictures->fingerprint().files) names.push_back(file.name);
  EXPECT_EQ(names, (std::vector<std::string>{"cat/b.png", "dog/c.png", "condition:cat/b.png",
                                             "condition:dog/c.png", "/classes", "/labels"}));
}

TEST_F(Pairs, APictureCannotBeItsOwnCondition) {
  add("photos/a.png", flat(8, 8, {10}));
  const std::string photos = (folder_ / "photos").string();
  EXPECT_SAYS(message_of([&] {
                load_pairs(photos, photos + "/.", {.size = {8, 8}});
              }),
              "each would be its own condition");
}

TEST_F(Pairs, AClassWithoutPairsIsRefused) {
  add("photos/cat/a.png", flat(8, 8, {10}));
  add("photos/dog/c.png", flat(8, 8, {30}));
  add("edges/cat/a.png", flat(8, 8, {120}));
  EXPECT_SAYS(message_of([&] {
                load_pairs((folder_ / "photos").string(), (folder_ / "edges").string(),
                           {.size = {8, 8}, .classes = true});
              }),
              "no picture of the class 'dog' has a condition");
}

// A picture without a partner is not learnt from, so its class may change.
TEST_F(Pairs, TheFingerprintKnowsTheClassesOfPairsOnly) {
  add("photos/a.png", flat(8, 8, {10}));
  add("photos/b.png", flat(8, 8, {20}));
  add("photos/lonely.png", flat(8, 8, {30}));
  add("edges/a.png", flat(8, 8, {120}));
  add("edges/b.png", flat(8, 8, {130}));
  const auto hash = [&](const std::string& last) {
    const std::string table = (folder_ / "l.csv").string();
    write_file_atomic(table, "a.png,x\nb.png,y\nlonely.png," + last + "\n");
    return load_pairs((folder_ / "photos").string(), (folder_ / "edges").string(),
                      {.size = {8, 8}, .labels = table})
        .pictures->fingerprint()
        .hash();
  };
  EXPECT_EQ(hash("x"), hash("y"));
}

TEST_F(Pairs, TheFingerprintTellsOfBothAndHashesOnce) {
  add("photos/a.png", flat(8, 8, {10, 20, 30}));
  add("edges/a.png", flat(8, 8, {110}));
  const DataFingerprint first = pairs().pictures->fingerprint();
  ASSERT_EQ(first.files.size(), 2u);
  EXPECT_EQ(first.files[0].name, "a.png");
  EXPECT_EQ(first.files[1].name, "condition:a.png");
  DataFingerprint known = first;
  known.files[1].hash = std::string(32, '7');  // is believed, so it was not computed again
  EXPECT_EQ(pairs(&known).pictures->fingerprint().files[1].hash, std::string(32, '7'));
  // A picture without a partner changes nothing; another condition does.
  add("edges/b.png", flat(8, 8, {1}));
  EXPECT_EQ(pairs().pictures->fingerprint().hash(), first.hash());
  add("edges/a.png", flat(8, 8, {111}));
  EXPECT_NE(pairs().pictures->fingerprint().hash(), first.hash());
}

TEST_F(Pairs, ADamagedPartnerIsNamedAndItsPictureLeftOut) {
  add("photos/a.png", flat(8, 8, {10}));
  add("photos/b.png", flat(8, 8, {20}));
  add("edges/a.png", flat(8, 8, {110}));
  add("edges/b.png", "damaged");
  const LoadedPictures loaded = pairs();
  EXPECT_EQ(loaded.pictures->size(), 1);
  ASSERT_EQ(loaded.report.skipped.size(), 2u);
  EXPECT_SAYS(loaded.report.skipped[0].path, "edges/b.png");
  EXPECT_SAYS(loaded.report.skipped[1].path, "photos/b.png");
}

TEST_F(Pairs, WhatCannotBePairedIsRefused) {
  add("edges/a.png", flat(8, 8, {110}));
  EXPECT_SAYS(why_not("emoji:cat-face"), "downscale:N");
  add("photos/b.png", flat(8, 8, {10}));
  EXPECT_SAYS(why_not(), "b.png for b.png");
  add("photos/b.gif", flat(8, 8, {10}));
  EXPECT_SAYS(why_not(), "b.gif and b.png");
}

}  // namespace
}  // namespace ddpm
