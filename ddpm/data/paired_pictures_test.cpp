#include "ddpm/data/paired_pictures.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/data/dataset.h"

namespace ddpm {
namespace {

// Picture k has the bytes first + k, ..., one column after the other.
std::shared_ptr<const Pictures> columns(int64_t count, int first, int64_t channels = 1,
                                        int64_t side = 2) {
  Tensor images({count, side, side, channels}, DType::kUInt8);
  for (int64_t i = 0; i < images.elements(); ++i) {
    const int64_t x = i / channels % side, k = i / (channels * side * side);
    images.u8()[i] = static_cast<uint8_t>(first + 10 * k + x);
  }
  return std::make_shared<Dataset>(images, "columns", ClassLabels{{0, 1, 0}, {"a", "b"}});
}

std::vector<int> first_row(const Tensor& picture) {
  const Tensor bytes = to_bytes(picture);
  return {bytes.u8(), bytes.u8() + bytes.size(2)};
}

TEST(PairedPictures, EachPictureHasItsCondition) {
  const auto pairs = paired_pictures(columns(3, 0), columns(3, 100));
  EXPECT_EQ(pairs->size(), 3);
  EXPECT_EQ(pairs->condition_channels(), 1);
  EXPECT_EQ(pairs->class_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(pairs->labels(), (std::vector<int64_t>{0, 1, 0}));
  const Batch batch = pairs->batch({{2, 1}, {0, 1}});
  EXPECT_EQ(first_row(batch.images.rows(0, 1)), (std::vector<int>{20, 21}));
  EXPECT_EQ(first_row(batch.condition.rows(0, 1)), (std::vector<int>{120, 121}));
  // Both are mirrored.
  EXPECT_EQ(first_row(batch.images.rows(1, 2)), (std::vector<int>{11, 10}));
  EXPECT_EQ(first_row(batch.condition.rows(1, 2)), (std::vector<int>{111, 110}));
  EXPECT_EQ(batch.labels.values(), (std::vector<float>{0, 1}));
  EXPECT_THROW(pairs->batch({{3}, {}}), Error);
}

TEST(PairedPictures, ThePairingChooses) {
  const auto pairs =
      paired_pictures(columns(3, 0), columns(3, 100), {{0, 2}, {2, 1}}, DataFingerprint{});
  EXPECT_EQ(pairs->size(), 2);
  const Batch batch = pairs->batch({{0, 1}, {}});
  EXPECT_EQ(first_row(batch.images.rows(1, 2)), (std::vector<int>{20, 21}));
  EXPECT_EQ(first_row(batch.condition.rows(1, 2)), (std::vector<int>{110, 111}));
}

TEST(PairedPictures, TheFingerprintTellsOfBoth) {
  const auto hash = [](int first, int condition) {
    return paired_pictures(columns(3, first), columns(3, condition))->fingerprint().hash();
  };
  EXPECT_EQ(hash(0, 100), hash(0, 100));
  EXPECT_NE(hash(0, 100), hash(0, 101));
  EXPECT_NE(hash(0, 100), hash(1, 100));
  const DataFingerprint both = paired_pictures(columns(3, 0), columns(3, 100))->fingerprint();
  const DataFingerprint conditions = condition_files(both);
  EXPECT_EQ(conditions.hash(), columns(3, 100)->fingerprint().hash());
}

TEST(PairedPictures, WhatDoesNotFitIsRefused) {
  EXPECT_THROW(paired_pictures(columns(3, 0), columns(3, 0, 1, 4)), UsageError);
  const auto two = array_pictures(std::vector<uint8_t>(2 * 4), {2, 2, 2, 1});
  EXPECT_THROW(paired_pictures(columns(3, 0), two), UsageError);
  const auto pairs = paired_pictures(columns(3, 0), columns(3, 0));
  EXPECT_THROW(paired_pictures(pairs, columns(3, 0)), UsageError);
}

}  // namespace
}  // namespace ddpm
