// Tests that streamed pictures are those that would be in memory, and what happens if their files
// change.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "ddpm/base/hash.h"
#include "ddpm/data/batch_sampler.h"
#include "ddpm/data/source_pairs.h"
#include "ddpm/data/source_test_support.h"
#include "ddpm/data/stream/picture_index.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using namespace test;

std::string text_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.f32()), static_cast<size_t>(tensor.bytes())};
}

class StreamTest : public SourceTest {
 protected:
  StreamTest() {
    for (int i = 0; i < 12; ++i) {
      Tensor picture({9 + i % 3, 8 + i % 4, i % 2 == 0 ? 1 : 3}, DType::kUInt8);
      for (int64_t k = 0; k < picture.elements(); ++k)
        picture.u8()[k] = static_cast<uint8_t>(k * 11 + i * 37);
      add((i < 6 ? "cats/" : "dogs/") + std::to_string(i) + ".png", picture);
    }
    add("cats/broken.png", encode_png(flat(8, 8, {1, 2, 3})).substr(0, 60));
  }

  SourceOptions options(const std::string& stream) const {
    return {.size = {8, 8}, .classes = true, .stream = stream};
  }
  LoadedPictures open(const std::string& stream) const {
    return open_source(folder_.string(), options(stream));
  }
  // The bits of some batches, taken in their order.
  static std::string bits(const Pictures& pictures, bool crop = false) {
    BatchSampler sampler({.images = pictures.size(), .batch = 5, .flip = true, .crop = crop});
    std::string all;
    for (int64_t step = 0; step < 8; ++step) {
      const BatchPlan next[] = {sampler.at(step), sampler.at(step + 1)};
      pictures.prefetch(next);
      const Batch batch = pictures.batch(next[0]);
      all += text_of(batch.images);
      if (batch.labels.defined()) all += text_of(batch.labels);
      if (batch.condition.defined()) all += text_of(batch.condition);
    }
    return all;
  }
};

TEST_F(StreamTest, BatchesAndReportAreThoseOfPicturesInMemory) {
  const LoadedPictures memory = open("off"), streamed = open("on");
  ASSERT_NE(dynamic_cast<const Dataset*>(memory.pictures.get()), nullptr);
  ASSERT_EQ(dynamic_cast<const Dataset*>(streamed.pictures.get()), nullptr);
  EXPECT_EQ(streamed.pictures->size(), 12);
  EXPECT_EQ(streamed.pictures->channels(), 3);
  EXPECT_EQ(bits(*streamed.pictures), bits(*memory.pictures));
  EXPECT_EQ(streamed.pictures->fingerprint().files, memory.pictures->fingerprint().files);
  EXPECT_EQ(streamed.pictures->labels(), memory.pictures->labels());
  EXPECT_EQ(streamed.pictures->class_names(), memory.pictures->class_names());
  EXPECT_EQ(streamed.report.loaded, 12);
  ASSERT_EQ(streamed.report.skipped.size(), 1u);
  EXPECT_EQ(streamed.report.skipped[0].path, memory.report.skipped[0].path);
  EXPECT_EQ(streamed.report.skipped[0].reason, memory.report.skipped[0].reason);
  EXPECT_EQ(streamed.index, memory.index);
  EXPECT_THROW(streamed.pictures->batch({{12}, {}}), Error);
  EXPECT_THROW(streamed.pictures->batch({{1}, {0, 0}}), Error);
}

TEST_F(StreamTest, TheIndexSparesReadingUnchangedFiles) {
  const LoadedPictures first = open("on");
  const std::string whole = bits(*first.pictures);
  SourceOptions again = options("on");
  again.index = &first.index;
  std::vector<int64_t> read;
  const auto progress = [&](int64_t done, int64_t) { read.push_back(done); };
  for (const char* stream : {"on", "auto"}) {
    again.stream = stream;
    const LoadedPictures second = open_source(folder_.string(), again, progress);
    EXPECT_TRUE(read.empty());
    EXPECT_EQ(dynamic_cast<const Dataset*>(second.pictures.get()), nullptr);
    EXPECT_EQ(second.index, first.index);
    EXPECT_EQ(second.report.skipped.size(), 1u);
    EXPECT_EQ(second.pictures->fingerprint().files, first.pictures->fingerprint().files);
    EXPECT_EQ(bits(*second.pictures), whole);
    // From memory if they are kept.
    EXPECT_EQ(bits(*second.pictures), whole);
  }
  again.stream = "on";
  add("dogs/new.png", flat(8, 8, {5, 200, 100}));
  const LoadedPictures third = open_source(folder_.string(), again, progress);
  EXPECT_EQ(read, std::vector<int64_t>{14}) << "only the new file is read";
  EXPECT_EQ(third.pictures->size(), 13);
}

TEST_F(StreamTest, AnIndexForOtherPicturesIsNotUsed) {
  const LoadedPictures first = open("on");
  SourceOptions other = options("on");
  other.size = {4, 4};
  other.index = &first.index;
  int64_t read = 0;
  const LoadedPictures opened =
      open_source(folder_.string(), other, [&](int64_t, int64_t) { ++read; });
  EXPECT_EQ(read, 13);
  EXPECT_NE(opened.index.settings, first.index.settings);
}

TEST_F(StreamTest, FilesThatChangeAreNamed) {
  const LoadedPictures streamed = open("on");
  add("cats/0.png", flat(8, 8, {5, 200, 100}));
  EXPECT_SAYS(message_of([&] {
                streamed.pictures->batch({{0}, {}});
              }),
              (folder_ / "cats/0.png").string() + " has changed since the training began");
  add("cats/0.png", std::string("no picture"));
  EXPECT_SAYS(message_of([&] {
                streamed.pictures->batch({{0}, {}});
              }),
              (folder_ / "cats/0.png").string() + ": this is not a PNG");
  fs::remove(folder_ / "cats/0.png");
  EXPECT_SAYS(message_of([&] { streamed.pictures->batch({{0}, {}}); }), "cats/0.png");
  EXPECT_EQ(streamed.pictures->batch({{1, 2}, {}}).images.size(0), 2);
}

TEST_F(StreamTest, PairsStream) {
  for (int i = 0; i < 12; ++i)
    add("edges/" + std::string(i < 6 ? "cats/" : "dogs/") + std::to_string(i) + ".png",
        flat(8, 8, {20 * i}));
  const std::string edges = (folder_ / "edges").string();
  fs::create_directories(folder_ / "photos");
  for (const char* name : {"cats", "dogs"}) fs::rename(folder_ / name, folder_ / "photos" / name);
  const auto load = [&](const char* stream, const PictureIndex* index, int64_t& read) {
    SourceOptions chosen = options(stream);
    chosen.index = index;
    return load_pairs((folder_ / "photos").string(), edges, chosen,
                      [&](int64_t, int64_t) { ++read; });
  };
  int64_t read = 0;
  const LoadedPictures memory = load("off", nullptr, read), streamed = load("on", nullptr, read);
  EXPECT_EQ(read, 50);
  EXPECT_EQ(bits(*streamed.pictures), bits(*memory.pictures));
  EXPECT_EQ(streamed.pictures->fingerprint().files, memory.pictures->fingerprint().files);
  const LoadedPictures again = load("on", &streamed.index, read);
  EXPECT_EQ(read, 50);
  EXPECT_EQ(bits(*again.pictures), bits(*memory.pictures));
}

TEST_F(StreamTest, SourcesInOneFileStream) {
  const SourceOptions on{.size = {8, 8}, .stream = "on"}, off{.size = {8, 8}, .stream = "off"};
  const LoadedPictures streamed = open_source("emoji:cat-face", on);
  const LoadedPictures memory = open_source("emoji:cat-face", off);
  EXPECT_EQ(bits(*streamed.pictures), bits(*memory.pictures));
  EXPECT_TRUE(streamed.index.pictures.empty());
}

TEST_F(StreamTest, OtherWaysAreRefused) {
  EXPECT_SAYS(message_of([&] { open("never"); }), "auto, on or off");
}

TEST_F(StreamTest, RandomCropsAreTheSameInMemory) {
  add("cats/long.png", flat(9, 60, {1, 2, 3}));
  SourceOptions random = options("off");
  random.crop = "random";
  const LoadedPictures memory = open_source(folder_.string(), random);
  random.stream = "on";
  const LoadedPictures streamed = open_source(folder_.string(), random);
  random.stream = "auto";
  random.index = &streamed.index;
  const LoadedPictures again = open_source(folder_.string(), random);
  const std::string whole = bits(*memory.pictures, true);
  EXPECT_EQ(bits(*streamed.pictures, true), whole);
  EXPECT_EQ(bits(*again.pictures, true), whole);
  EXPECT_NE(bits(*streamed.pictures, false), whole);
  EXPECT_EQ(streamed.index, memory.index);
  EXPECT_NE(streamed.index.settings, open("on").index.settings);
  EXPECT_THROW(load_source(folder_.string(), random), UsageError);
  random.fit = "pad";
  EXPECT_THROW(open_source(folder_.string(), random), UsageError);
}

TEST_F(StreamTest, BordersAreTheSameInMemory) {
  for (const char* fit : {"contain", "pad"}) {
    SourceOptions chosen = options("off");
    chosen.fit = fit;
    chosen.background = "#ff0000";
    const LoadedPictures memory = open_source(folder_.string(), chosen);
    chosen.stream = "on";
    const LoadedPictures streamed = open_source(folder_.string(), chosen);
    EXPECT_EQ(bits(*streamed.pictures), bits(*memory.pictures));
    EXPECT_NE(bits(*streamed.pictures), bits(*open("on").pictures));
  }
}

}  // namespace
}  // namespace ddpm
