// Tests which JPEGs count as damaged.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ddpm/data/image.h"
#include "ddpm/data/image_test_support.h"

namespace ddpm {
namespace {

using namespace std::string_literals;
using test::decode_error;
using test::jpeg_segment;
using test::jpeg_segment_bytes;
using test::make_jpeg;

constexpr int64_t kSide = 256;
constexpr int64_t kSizes[] = {8, 16, 32, 64, 128, 256};
constexpr int kStartOfScan = 0xda;

Tensor picture() {
  Tensor image({kSide, kSide, 3}, DType::kUInt8);
  uint8_t* out = image.u8();
  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) {
      *out++ = static_cast<uint8_t>(x);
      *out++ = static_cast<uint8_t>(127 + 120 * std::sin(0.003 * static_cast<double>(x * y)));
      *out++ = static_cast<uint8_t>((x / 16 + y / 16) % 2 * 200 + 20);
    }
  }
  return image;
}

size_t data_begin(const std::string& file) {
  const size_t scan = jpeg_segment(file, kStartOfScan);
  return scan + jpeg_segment_bytes(file, scan);
}

void expect_refused(const std::string& file) {
  for (const int64_t side : kSizes) EXPECT_NE(decode_error(file, side), "") << side;
}

// The pixels must be those of the undamaged file, at every size.
void expect_same(const std::string& file, const std::string& good) {
  for (const int64_t side : kSizes) {
    const Tensor wanted = decode_image(good, {side, side});
    ASSERT_EQ(decode_error(file, side), "") << side;
    const Tensor got = decode_image(file, {side, side});
    ASSERT_EQ(got.shape(), wanted.shape());
    EXPECT_EQ(std::memcmp(got.u8(), wanted.u8(), static_cast<size_t>(got.bytes())), 0) << side;
  }
}

TEST(ImageJpegTest, ADamagedByteHasOneVerdictAtEverySize) {
  uint32_t random = 1;
  const auto next = [&] { return (random = random * 1664525 + 1013904223) >> 8; };
  const std::string files[] = {make_jpeg(picture()), make_jpeg(picture(), {.progressive = true}),
                               make_jpeg(picture(), {.restart_rows = 2})};
  int refused = 0, read = 0;
  for (const std::string& file : files) {
    const size_t begin = data_begin(file);
    for (int i = 0; i < 16; ++i) {
      std::string damaged = file;
      damaged[begin + next() % (file.size() - begin - 2)] ^= static_cast<char>(1 + next() % 255);
      const std::string verdict = decode_error(damaged, kSide);
      (verdict.empty() ? read : refused) += 1;
      for (const int64_t side : kSizes) EXPECT_EQ(decode_error(damaged, side), verdict) << side;
    }
  }
  EXPECT_GT(refused, 10);
  EXPECT_GT(read, 0);
}

TEST(ImageJpegTest, MissingDataIsRefused) {
  for (const bool progressive : {false, true}) {
    const std::string file = make_jpeg(picture(), {.progressive = progressive});
    for (const size_t kept : {file.size() / 2, file.size() - 40}) {
      expect_refused(file.substr(0, kept));
      expect_refused(file.substr(0, kept) + "\xff\xd9");
    }
    expect_refused(file.substr(0, file.size() - 2));
  }
}

TEST(ImageJpegTest, StrayBytesDoNotHideOtherDamage) {
  std::string file = make_jpeg(picture());
  file = file.substr(0, file.size() / 2) + "\xff\xd9";
  expect_refused(file.insert(20, "\0\0\0"s));
}

TEST(ImageJpegTest, DamagedRestartMarkersAreRefused) {
  const std::string file = make_jpeg(picture(), {.restart_rows = 2});
  const size_t marker = file.find("\xff\xd1", data_begin(file));
  ASSERT_NE(marker, file.npos);
  std::string lost = file, other = file, left_over = file;
  lost[marker] = '\x11';
  other[marker + 1] = '\xd5';
  left_over.insert(marker, "\x12\x34\x56\x78\x12\x34\x56\x78\x12\x34\x56\x78\x12\x34\x56\x78");
  expect_refused(lost);
  expect_refused(other);
  expect_refused(left_over);
}

TEST(ImageJpegTest, AComponentWithoutDataIsRefused) {
  // Without its first scan a progressive picture has details but no coarse values.
  std::string file = make_jpeg(picture(), {.progressive = true});
  const size_t first = jpeg_segment(file, kStartOfScan);
  size_t end = data_begin(file);
  while (file[end] != '\xff' || file[end + 1] == '\0') ++end;
  expect_refused(file.erase(first, end - first));
}

TEST(ImageJpegTest, LibertiesThatChangeNoPixelAreRead) {
  const std::string good = make_jpeg(picture());
  const size_t header = jpeg_segment(good, 0xe0), scan = jpeg_segment(good, kStartOfScan);
  const size_t scan_end = scan + jpeg_segment_bytes(good, scan);

  // As Samsung's cameras write them.
  std::string scan_parameters = good;
  scan_parameters.replace(scan_end - 3, 3, "\0\0\0"s);
  expect_same(scan_parameters, good);

  std::string version = good;
  version[header + 9] = 2;
  expect_same(version, good);
  version[header + 9] = 0;
  expect_same(version, good);

  std::string between = good, before_end = good;
  expect_same(between.insert(scan, "\0\0\0stray"s), good);
  expect_same(before_end.insert(good.size() - 2, "stray"), good);
  expect_same(good + "whatever follows the end", good);

  // An Adobe marker with an unknown transform is read as YCbCr, as if there were no marker.
  std::string adobe = good;
  adobe.insert(header + jpeg_segment_bytes(good, header),
               "\xff\xee\0\x0e"
               "Adobe\0\x64\0\0\0\0\x07"s);
  expect_same(adobe, good);

  std::string restarts = make_jpeg(picture(), {.restart_rows = 2});
  std::string filled = restarts;
  filled.insert(filled.find("\xff\xd1", data_begin(filled)), "\0\0\0\0\0\0\0\0\0\0\0\0"s);
  expect_same(filled, restarts);
}

}  // namespace
}  // namespace ddpm
