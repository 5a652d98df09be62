#include "ddpm/data/picture_store.h"

#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/source_test_support.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using test::flat;

std::vector<int> bytes(const Tensor& images) {
  return {images.u8(), images.u8() + images.elements()};
}

TEST(PictureStoreTest, ChannelsGrowWithThePictures) {
  PictureStore store(3, {{1, 1}, 0, {255, 255, 255}});
  store.put(2, flat(1, 1, {7}));
  store.put(0, flat(1, 1, {1, 2, 3}));
  store.put(1, flat(1, 1, {4, 5, 6, 100}));
  const Tensor images = store.take();
  EXPECT_EQ(images.shape(), (Shape{3, 1, 1, 4}));
  EXPECT_EQ(bytes(images), (std::vector<int>{1, 2, 3, 255, 4, 5, 6, 100, 7, 7, 7, 255}));
}

TEST(PictureStoreTest, GivenChannelsStay) {
  PictureStore store(2, {{1, 1}, 3, {200, 100, 0}});
  store.put(0, flat(1, 1, {9}));
  store.put(1, flat(1, 1, {0, 0, 0, 0}));
  EXPECT_EQ(bytes(store.take()), (std::vector<int>{9, 9, 9, 200, 100, 0}));
}

TEST(PictureStoreTest, GapsAreClosed) {
  PictureStore store(6, {{1, 2}, 1, {}});
  for (const int i : {4, 1, 2}) store.put(i, flat(1, 2, {i}));
  const Tensor images = store.take();
  EXPECT_EQ(images.shape(), (Shape{3, 1, 2, 1}));
  EXPECT_EQ(bytes(images), (std::vector<int>{1, 1, 2, 2, 4, 4}));
}

TEST(PictureStoreTest, ThreadsMayFillIt) {
  PictureStore store(200, {{8, 8}, 0, {}});
  parallel_for(200, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int value = static_cast<int>(i);
      store.put(i, i % 7 == 3 ? flat(8, 8, {value, value, 0}) : flat(8, 8, {value}));
    }
  });
  const Tensor images = store.take();
  ASSERT_EQ(images.shape(), (Shape{200, 8, 8, 3}));
  for (int64_t i = 0; i < 200; ++i) {
    const uint8_t* last = images.u8() + i * 8 * 8 * 3 + 63 * 3;
    EXPECT_EQ(last[1], i);
    EXPECT_EQ(last[2], i % 7 == 3 ? 0 : i);
  }
}

TEST(PictureStoreTest, WhatDoesNotFitIsRefusedWithWhatWould) {
  const auto why = [](int64_t count, ImageSize size) {
    return test::refusal([&] { PictureStore store(count, {size, 3, {}}); });
  };
  const std::string square = why(1'000'000, {100'000, 100'000});
  EXPECT_NE(square.find("1000000 pictures of 100000x100000 with 3 channels need "),
            std::string::npos)
      << square;
  EXPECT_NE(square.find("; --size "), std::string::npos) << square;
  // Nothing overflows in the computation.
  const int64_t most = int64_t{1} << 62;
  EXPECT_NE(why(most, {1 << 16, 1 << 16}).find("train on fewer pictures"), std::string::npos);
  EXPECT_THROW(require_memory("it", most), Error);
}

}  // namespace
}  // namespace ddpm
