#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/data/image.h"
#include "ddpm/data/image_parts.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

using ::testing::HasSubstr;

constexpr size_t kLimit = 1 << 16;

Tensor small_picture() {
  Tensor picture({3, 5, 3}, DType::kUInt8);
  for (int64_t i = 0; i < picture.elements(); ++i) picture.u8()[i] = static_cast<uint8_t>(i * 5);
  return picture;
}

TEST(PngText, ComesBackAndChangesNoPixel) {
  const std::string plain = encode_png(small_picture());
  const std::string text = "{\"caf\xc3\xa9\": 1}";
  const std::string file = with_png_text(plain, "ddpm", text);
  EXPECT_EQ(png_text(file, "ddpm", kLimit), text);
  EXPECT_EQ(png_text(plain, "ddpm", kLimit), std::nullopt);
  EXPECT_EQ(png_text(file, "ddp", kLimit), std::nullopt);
  EXPECT_EQ(png_damage(file), "");
  const Tensor picture = decode_image(file, {});
  ASSERT_EQ(picture.shape(), small_picture().shape());
  for (int64_t i = 0; i < picture.elements(); ++i)
    EXPECT_EQ(picture.u8()[i], small_picture().u8()[i]);
}

TEST(PngText, DamageIsAnError) {
  const std::string file = with_png_text(encode_png(small_picture()), "ddpm", "some text");
  const auto says = [](const std::string& wrong, size_t limit = kLimit) {
    return test::message_of<Error>([&] { png_text(wrong, "ddpm", limit); });
  };
  std::string damaged = file;
  damaged[damaged.find("some text")] = 'S';
  EXPECT_THAT(says(damaged), HasSubstr("checksum"));
  EXPECT_THAT(says(file, 8), HasSubstr("more than 8 bytes"));
  EXPECT_THAT(says("GIF89a"), HasSubstr("not a PNG"));
  EXPECT_THAT(says(with_png_text(file, "ddpm", "")), HasSubstr("damaged"));
  // A file that ends within the chunk has no text that anybody could trust.
  const size_t text = file.find("some text");
  for (size_t size = 0; size < file.size(); ++size) {
    try {
      const auto found = png_text(file.substr(0, size), "ddpm", kLimit);
      EXPECT_EQ(found.has_value(), size >= text + 9 + 4) << size;
    } catch (const Error&) {
      EXPECT_LT(size, 8u);
    }
  }
}

}  // namespace
}  // namespace ddpm
