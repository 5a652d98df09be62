#include <gtest/gtest.h>

#include <cstring>

#include "ddpm/base/hash.h"
#include "ddpm/base/philox.h"
#include "ddpm/eval/features.h"
#include "tests/support/compare.h"
#include "tests/support/threads.h"

namespace ddpm {
namespace {

// Bytes [count, height, width, channels] from Philox.
Tensor noise_pictures(int64_t count, int64_t height, int64_t width, int64_t channels) {
  Tensor tensor({count, height, width, channels}, DType::kUInt8);
  const Philox random(7);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.u8()[i] = static_cast<uint8_t>(random.bits(static_cast<uint64_t>(i)) >> 24);
  }
  return tensor;
}

std::string hash_of(const Tensor& tensor) {
  return hash_hex(
      {reinterpret_cast<const char*>(tensor.f32()), static_cast<size_t>(tensor.bytes())});
}

// If these change, the network needs a new name: figures that people have noted can no longer be
// compared.
TEST(RandomFeatures, HaveTheirBits) {
  const auto network = random_features();
  EXPECT_EQ(network->name(), "random-v1");
  EXPECT_EQ(network->width(), 256);
  EXPECT_EQ(hash_of((*network)(noise_pictures(2, 32, 32, 3))), "1753d7681e271d41b74bf0bd735972e0");
  EXPECT_EQ(hash_of((*network)(noise_pictures(2, 28, 20, 1))), "994c061d9bc1ef64ac2b155af272816d");
  EXPECT_EQ(hash_of((*network)(noise_pictures(1, 70, 101, 4))), "fff8a6aea21d4051aca9afa9c9a75bb0");
}

TEST(RandomFeatures, OfAPictureDependOnNothingElse) {
  const auto network = random_features();
  const Tensor images = noise_pictures(5, 16, 16, 3);
  const Tensor all = (*network)(images);
  for (const int threads : {1, 3}) {
    const test::ThreadsScope scope(threads);
    for (int64_t n = 0; n < 5; ++n) {
      const Tensor one = (*network)(images.rows(n, n + 1));
      EXPECT_EQ(std::memcmp(one.f32(), all.f32() + n * 256, 256 * sizeof(float)), 0);
    }
  }
  EXPECT_EQ((*network)(images.rows(0, 0)).size(0), 0);
}

// The features of a flat picture with a bright square of 8x8 whose corner is (y, x).
Tensor square_at(int64_t y, int64_t x) {
  Tensor picture({1, 32, 32, 1}, DType::kUInt8);
  std::memset(picture.u8(), 40, 32 * 32);
  for (int64_t i = y; i < y + 8; ++i) std::memset(picture.u8() + i * 32 + x, 220, 8);
  return (*random_features())(picture);
}

TEST(RandomFeatures, TellShapesAndPlaces) {
  const Tensor here = square_at(4, 4);
  EXPECT_GT(test::relative_l2(square_at(16, 16), here), 0.05);
  EXPECT_GT(test::relative_l2(square_at(6, 4), here), 0.005);
}

}  // namespace
}  // namespace ddpm
