#include "ddpm/data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/hash.h"

namespace ddpm {
namespace {

Dataset numbered(int64_t count, int64_t height, int64_t width, int64_t channels) {
  Tensor images({count, height, width, channels}, DType::kUInt8);
  for (int64_t i = 0; i < images.elements(); ++i) images.u8()[i] = static_cast<uint8_t>(i * 7);
  return Dataset(images, "numbered");
}

TEST(DatasetTest, BatchHoldsTheChosenPicturesInOrder) {
  const Dataset data = numbered(5, 2, 3, 3);
  const Tensor batch = data.batch({{4, 0, 4}, {}}).images;
  ASSERT_EQ(batch.shape(), (Shape{3, 2, 3, 3}));
  const Tensor all = to_floats(data.images());
  for (int64_t i = 0; i < 18; ++i) {
    EXPECT_EQ(batch.f32()[i], all.f32()[4 * 18 + i]);
    EXPECT_EQ(batch.f32()[18 + i], all.f32()[i]);
  }
}

TEST(DatasetTest, FlippingMirrorsPixelsNotChannels) {
  const Dataset data = numbered(2, 2, 3, 4);
  const Tensor plain = data.batch({{1, 1}, {0, 0}}).images;
  const Tensor flipped = data.batch({{1, 1}, {0, 1}}).images;
  for (int64_t y = 0; y < 2; ++y) {
    for (int64_t x = 0; x < 3; ++x) {
      for (int64_t c = 0; c < 4; ++c) {
        EXPECT_EQ(flipped.f32()[24 + (y * 3 + x) * 4 + c], plain.f32()[(y * 3 + 2 - x) * 4 + c]);
        EXPECT_EQ(flipped.f32()[(y * 3 + x) * 4 + c], plain.f32()[(y * 3 + x) * 4 + c]);
      }
    }
  }
}

TEST(DatasetTest, RejectsWhatIsNoDataSet) {
  EXPECT_THROW(Dataset(Tensor(Shape{2, 4, 4, 3}, DType::kBFloat16), "halves"), Error);
  EXPECT_THROW(Dataset(Tensor(Shape{2, 4, 4, 2}, DType::kUInt8), "two channels"), Error);
  EXPECT_THROW(Dataset(Tensor(Shape{0, 4, 4, 3}, DType::kUInt8), "none"), Error);
  EXPECT_THROW(numbered(2, 2, 2, 1).batch({{2}, {}}), Error);
}

TEST(DatasetTest, FloatsAreTakenAsTheyAre) {
  const Dataset bytes = numbered(3, 2, 3, 3);
  const Dataset floats(to_floats(bytes.images()), "floats");
  const BatchPlan plan{{2, 0, 1}, {1, 0, 1}};
  EXPECT_EQ(floats.batch(plan).images.values(), bytes.batch(plan).images.values());
}

TEST(DatasetTest, LabelsFollowTheirPictures) {
  Tensor images({3, 1, 1, 1}, DType::kUInt8);
  const Dataset data(images, "labelled", {.of_pictures = {1, -1, 0}, .names = {"cat", "dog"}});
  EXPECT_EQ(data.class_names(), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(data.labels(), (std::vector<int64_t>{1, -1, 0}));
  EXPECT_EQ(class_counts(data), (std::vector<int64_t>{1, 1}));
  EXPECT_TRUE(class_counts(numbered(2, 2, 2, 1)).empty());
  EXPECT_EQ(data.batch({{2, 1, 0, 0}, {}}).labels.values(), (std::vector<float>{0, -1, 1, 1}));
  EXPECT_FALSE(data.batch({{2}, {}}).condition.defined());
  EXPECT_FALSE(numbered(2, 2, 2, 1).batch({{0}, {}}).labels.defined());
  const Dataset unnamed(images, "unnamed", {.of_pictures = {1, 2, 0}});
  EXPECT_EQ(unnamed.class_names(), (std::vector<std::string>{"0", "1", "2"}));
}

TEST(DatasetTest, RejectsLabelsThatDoNotFit) {
  const Tensor images({2, 1, 1, 1}, DType::kUInt8);
  EXPECT_THROW(Dataset(images, "few", {.of_pictures = {0}}), Error);
  EXPECT_THROW(Dataset(images, "low", {.of_pictures = {0, -2}}), Error);
  EXPECT_THROW(Dataset(images, "high", {.of_pictures = {0, 1}, .names = {"one"}}), Error);
  EXPECT_THROW(Dataset(images, "none", {.names = {"one"}}), Error);
}

TEST(DatasetTest, TheFingerprintTellsPixelsAndLabelsApart) {
  Tensor images({2, 2, 2, 1}, DType::kUInt8);
  std::fill_n(images.u8(), images.elements(), uint8_t{7});
  const auto hash = [&](const ClassLabels& labels) {
    return Dataset(images.clone(), "any name", labels).fingerprint().hash();
  };
  const std::string plain = hash({});
  EXPECT_EQ(Dataset(images.clone(), "another name").fingerprint().hash(), plain);
  const std::string labelled = hash({.of_pictures = {0, 1}, .names = {"a", "b"}});
  EXPECT_NE(labelled, plain);
  EXPECT_NE(hash({.of_pictures = {1, 0}, .names = {"a", "b"}}), labelled);
  EXPECT_NE(hash({.of_pictures = {0, 1}, .names = {"a", "c"}}), labelled);
  images.u8()[3] = 8;
  EXPECT_NE(hash({}), plain);
  const DataFingerprint own{{{.name = "mine", .bytes = 1, .hash = hash_hex("x")}}};
  EXPECT_EQ(Dataset(images, "own", {}, own).fingerprint().files, own.files);
}

TEST(ArrayPictures, AreTheArraysOfAProgram) {
  const std::vector<uint8_t> bytes = {0, 255, 51, 102, 153, 204};
  const auto pictures = array_pictures(bytes, {2, 1, 1, 3}, {.of_pictures = {4, 0}});
  EXPECT_EQ(pictures->size(), 2);
  EXPECT_EQ(pictures->image_size(), (ImageSize{1, 1}));
  EXPECT_EQ(pictures->channels(), 3);
  EXPECT_EQ(pictures->class_names().size(), 5u);
  const Batch batch = pictures->batch({{1, 0}, {}});
  EXPECT_EQ(batch.labels.values(), (std::vector<float>{0, 4}));
  EXPECT_EQ(batch.images.values()[3], -1);
  EXPECT_EQ(batch.images.values()[4], 1);
  const std::vector<float> floats = {-1, 1, 0.5f, 0};
  EXPECT_EQ(array_pictures(floats, {1, 2, 2, 1})->batch({{0}, {}}).images.values(), floats);
}

TEST(ArrayPictures, RejectArraysThatDoNotFit) {
  EXPECT_THROW(array_pictures(std::vector<uint8_t>(5), {2, 1, 1, 3}), Error);
  EXPECT_THROW(array_pictures(std::vector<float>{2}, {1, 1, 1, 1}), Error);
  EXPECT_THROW(array_pictures(std::vector<float>{NAN}, {1, 1, 1, 1}), Error);
}

}  // namespace
}  // namespace ddpm
