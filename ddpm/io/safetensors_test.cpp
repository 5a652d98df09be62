#include "ddpm/io/safetensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "tests/support/compare.h"
#include "tests/support/errors.h"
#include "tests/support/fixture.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

using test::message_of;

class SafetensorsTest : public testing::Test {
 protected:
  std::string path(const char* name = "f.safetensors") const { return folder_ / name; }

  // Makes a file with one tensor "a" from raw elements.
  template <class T>
  SafetensorsFile file_of(const char* dtype, const std::vector<T>& elements) {
    const size_t bytes = elements.size() * sizeof(T);
    const std::string header = std::string(R"({"a":{"dtype":")") + dtype + R"(","shape":[)" +
                               std::to_string(elements.size()) + R"(],"data_offsets":[0,)" +
                               std::to_string(bytes) + "]}}";
    const uint64_t length = header.size();
    std::string contents(reinterpret_cast<const char*>(&length), 8);
    contents += header;
    contents.append(reinterpret_cast<const char*>(elements.data()), bytes);
    std::ofstream(path(), std::ios::binary) << contents;
    return SafetensorsFile::open(path());
  }

  const test::TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path();
};

// The metadata that a program set, without the checksum that the writer adds.
SafetensorsMetadata metadata_of(const SafetensorsFile& file) {
  SafetensorsMetadata metadata = file.metadata();
  EXPECT_EQ(metadata.erase(kChecksumKey), 1u);
  return metadata;
}

TEST_F(SafetensorsTest, DoublesKeepAllTheirDigits) {
  const std::vector<double> fine = {0.1, -1e-300, 1e300}, coarse = {0.5, -2, 1024, 0};
  SafetensorsWriter writer;
  writer.add_doubles("coarse", {2, 2}, coarse);
  writer.add("between", Tensor::of({1}, {7}));
  writer.add_doubles("fine", {3}, fine);
  EXPECT_NE(message_of([&] { writer.add_doubles("more", {2}, fine); }), "");
  EXPECT_NE(message_of([&] { writer.add_doubles("fine", {3}, fine); }), "");
  writer.write(path());
  const SafetensorsFile file = SafetensorsFile::open(path());
  EXPECT_EQ(file.entry("fine").dtype, "F64");
  EXPECT_EQ(file.entry("coarse").dtype, "F32");
  EXPECT_EQ(file.read_doubles("fine"), fine);
  EXPECT_EQ(file.read_doubles("coarse"), coarse);
  EXPECT_EQ(file.read("between").values(), (std::vector<float>{7}));
}

TEST_F(SafetensorsTest, RoundTripKeepsEveryBit) {
  const float odd[] = {0.0f,           -0.0f, 1e-45f, std::numeric_limits<float>::infinity(),
                       std::nanf("7"), -3.25f};
  Tensor a({2, 3});
  std::memcpy(a.f32(), odd, sizeof odd);
  const Tensor image = Tensor::of({1, 1, 3, 2}, {1, 10, 2, 20, 3, 30});
  const Tensor scalar = Tensor::of({}, {42});
  const std::string text("quotes \" \\, a line\n, NUL \0, \xF0\x9F\x98\x80\0", 33);
  SafetensorsWriter writer;
  writer.set_metadata("config", text);
  writer.set_metadata("", "an empty name");
  writer.add("z last by name, first by order", a);
  writer.add("image", image, Layout::kImage);
  writer.add("nothing", Tensor({3, 0}));
  writer.add("scalar \xC3\xA9", scalar);
  writer.write(path());

  const SafetensorsFile file = SafetensorsFile::open(path());
  EXPECT_EQ(metadata_of(file), (SafetensorsMetadata{{"config", text}, {"", "an empty name"}}));
  ASSERT_EQ(file.entries().size(), 4u);
  EXPECT_EQ(file.entries()[0].name, "z last by name, first by order");
  EXPECT_EQ(file.find("image")->shape, Shape({1, 2, 1, 3}));
  EXPECT_EQ(std::memcmp(file.read("z last by name, first by order").f32(), odd, sizeof odd), 0);
  EXPECT_EQ(file.read("image").values(), (std::vector<float>{1, 2, 3, 10, 20, 30}));
  EXPECT_EQ(file.read("image", Layout::kImage).values(), image.values());
  EXPECT_EQ(file.read("nothing").shape(), Shape({3, 0}));
  EXPECT_EQ(file.read("scalar \xC3\xA9").values(), std::vector<float>{42});
}

TEST_F(SafetensorsTest, AFileWithoutTensorsIsFine) {
  SafetensorsWriter().write(path());
  const SafetensorsFile file = SafetensorsFile::open(path());
  EXPECT_TRUE(file.entries().empty());
  EXPECT_TRUE(metadata_of(file).empty());
}

TEST_F(SafetensorsTest, TheDataStartsAtAMultipleOfEight) {
  for (const char* name : {"a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh"}) {
    SafetensorsWriter writer;
    writer.add(name, Tensor::of({1}, {1}));
    writer.write(path());
    EXPECT_EQ((read_file(path()).size() - 4) % 8, 0u) << name;
  }
}

TEST_F(SafetensorsTest, EveryFixtureReadsAndWritesBackTheSame) {
  const std::vector<std::string> names = test::fixture_names();
  ASSERT_GE(names.size(), 17u);
  for (const std::string& name : names) {
    const SafetensorsFile file = SafetensorsFile::open(test::fixture_path(name));
    EXPECT_TRUE(file.metadata().contains("config")) << name;
    SafetensorsWriter writer;
    for (const auto& [key, value] : file.metadata()) writer.set_metadata(key, value);
    for (const SafetensorsEntry& entry : file.entries()) {
      const Layout layout = entry.name.starts_with("in.") && entry.shape.rank() == 4
                                ? Layout::kImage
                                : state_dict_layout(entry.name, entry.shape.rank());
      writer.add(entry.name, file.read(entry.name, layout), layout);
    }
    writer.write(path());
    const SafetensorsFile copy = SafetensorsFile::open(path());
    EXPECT_EQ(metadata_of(copy), file.metadata()) << name;
    ASSERT_EQ(copy.entries().size(), file.entries().size()) << name;
    for (size_t i = 0; i < file.entries().size(); ++i) {
      const std::string& key = file.entries()[i].name;
      EXPECT_EQ(copy.entries()[i].name, key) << name;
      EXPECT_EQ(copy.entries()[i].shape, file.entries()[i].shape) << name << " " << key;
      EXPECT_EQ(copy.read(key).values(), file.read(key).values()) << name << " " << key;
    }
  }
}

TEST_F(SafetensorsTest, EveryFlippedBitIsSeen) {
  SafetensorsWriter writer;
  writer.set_metadata(kVersionKey, "0.2.0");
  writer.add("a", Tensor::of({3}, {1, 2, 3}));
  writer.write(path());
  const std::string whole = read_file(path());
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    std::ofstream(path(), std::ios::binary) << damaged;
    EXPECT_THROW(SafetensorsFile::open(path()), Error) << "bit " << bit << " of " << whole;
  }
}

TEST_F(SafetensorsTest, AChecksumThatDoesNotMatchSaysWhatToDo) {
  SafetensorsWriter writer;
  writer.add("a", Tensor::of({1}, {1}));
  writer.write(path());
  std::string damaged = read_file(path());
  damaged.back() ^= 1;
  std::ofstream(path(), std::ios::binary) << damaged;
  const std::string message = message_of([&] { SafetensorsFile::open(path()); });
  EXPECT_NE(message.find("f.safetensors is damaged"), std::string::npos) << message;
  EXPECT_NE(message.find("remove ddpm.checksum"), std::string::npos) << message;
}

TEST_F(SafetensorsTest, FilesOfOthersNeedNoChecksum) {
  EXPECT_EQ(file_of<float>("F32", {1, 2}).read("a").values(), (std::vector<float>{1, 2}));
}

TEST_F(SafetensorsTest, IntegersAndDoublesBecomeFloats) {
  EXPECT_EQ(file_of<int64_t>("I64", {0, 999, -7}).read("a").values(),
            (std::vector<float>{0, 999, -7}));
  EXPECT_EQ(file_of<int32_t>("I32", {0, 999, -7}).read("a").values(),
            (std::vector<float>{0, 999, -7}));
  EXPECT_EQ(file_of<double>("F64", {0.1, -2, 1e-3}).read("a").values(),
            (std::vector<float>{0.1f, -2, 1e-3f}));
}

TEST_F(SafetensorsTest, LongTensorsAreConvertedToTheirEnd) {
  std::vector<int64_t> elements(50000);
  for (size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<int64_t>(i);
  const Tensor tensor = file_of("I64", elements).read("a");
  for (size_t i = 0; i < elements.size(); ++i) ASSERT_EQ(tensor.f32()[i], static_cast<float>(i));
}

TEST_F(SafetensorsTest, EveryFloat16) {
  std::vector<uint16_t> all(1 << 16);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  const Tensor tensor = file_of("F16", all).read("a");
  for (int i = 0; i < 1 << 16; ++i) {
    const int exponent = i >> 10 & 31, mantissa = i & 1023;
    const float got = tensor.f32()[i];
    ASSERT_EQ(std::signbit(got), i >= 1 << 15) << i;
    if (exponent == 31 && mantissa) {
      ASSERT_TRUE(std::isnan(got)) << i;
    } else if (exponent == 31) {
      ASSERT_TRUE(std::isinf(got)) << i;
    } else {
      const double want =
          exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
      ASSERT_EQ(std::fabs(got), want) << i;
    }
  }
}

TEST_F(SafetensorsTest, BFloat16IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(file_of<uint16_t>("BF16", {0x3F80, 0xC049, 0}).read("a").values(),
            (std::vector<float>{1, -3.140625f, 0}));
}

TEST_F(SafetensorsTest, OtherTypesAreRefusedByName) {
  const SafetensorsFile file = file_of<uint8_t>("U8", {1, 2});
  const std::string message = message_of([&] { file.read("a"); });
  EXPECT_NE(message.find("tensor \"a\" has the type U8"), std::string::npos) << message;
}

TEST_F(SafetensorsTest, AnAbsentTensorIsNamedBesideThoseThere) {
  const SafetensorsFile file = file_of<float>("F32", {1});
  EXPECT_EQ(file.find("b"), nullptr);
  const std::string message = message_of([&] { file.read("b"); });
  EXPECT_NE(message.find("no tensor \"b\"; it holds \"a\""), std::string::npos) << message;
}

TEST_F(SafetensorsTest, AWrongRankNamesTheTensor) {
  const SafetensorsFile file = file_of<float>("F32", {1});
  const std::string message = message_of([&] { file.read("a", Layout::kImage); });
  EXPECT_NE(message.find("tensor \"a\""), std::string::npos) << message;
}

TEST_F(SafetensorsTest, AFileCutShortWhileOpenIsAnError) {
  const SafetensorsFile file = file_of<float>("F32", std::vector<float>(1000));
  std::filesystem::resize_file(path(), 500);
  const std::string message = message_of([&] { file.read("a"); });
  EXPECT_NE(message.find("cut short"), std::string::npos) << message;
}

TEST_F(SafetensorsTest, OpenFilesOutliveTheirName) {
  const SafetensorsFile file = file_of<float>("F32", {7});
  std::filesystem::remove(path());
  EXPECT_EQ(file.read("a").values(), std::vector<float>{7});
}

TEST_F(SafetensorsTest, WhatIsNoFileIsNamed) {
  const auto open = [&](const std::string& what) {
    return message_of([&] { SafetensorsFile::open(what); });
  };
  EXPECT_NE(open(path("absent")).find("absent: No such file"), std::string::npos);
  EXPECT_NE(open(folder_).find("Is a directory"), std::string::npos);
  EXPECT_NE(open("/dev/null").find("not a regular file"), std::string::npos);
}

TEST_F(SafetensorsTest, TheWriterRefusesWhatNoReaderCouldTake) {
  SafetensorsWriter writer;
  const Tensor one = Tensor::of({1}, {1});
  writer.add("a", one);
  EXPECT_THROW(writer.add("a", one), Error);
  EXPECT_THROW(writer.add("__metadata__", one), Error);
  EXPECT_THROW(writer.add("\xFF", one), Error);
  EXPECT_THROW(writer.add("b", one, Layout::kImage), Error);
  EXPECT_THROW(writer.add("b", Tensor({1}, DType::kUInt8)), Error);
  EXPECT_THROW(writer.add("b", Tensor()), Error);
  EXPECT_THROW(writer.set_metadata("k", "\xC0\x80"), Error);
}

TEST_F(SafetensorsTest, AFailedWriteLeavesTheOldFile) {
  SafetensorsWriter().write(path());
  const std::string before = read_file(path());
  EXPECT_THROW(SafetensorsWriter().write(path("no/such/folder")), Error);
  EXPECT_EQ(read_file(path()), before);
}

TEST(Fixture, ComesInOurOrderOfAxes) {
  const test::Fixture fixture("block_scale_shift");
  EXPECT_EQ(fixture.at("in.x").shape(), Shape({2, 6, 5, 8}));
  EXPECT_EQ(fixture.at("in.scale").shape(), Shape({2, 1, 1, 16}));
  EXPECT_EQ(fixture.params().at("b.proj.weight").shape(), Shape({3, 3, 8, 16}));
  EXPECT_EQ(fixture.grads().at("b.proj.weight").shape(), Shape({3, 3, 8, 16}));
  EXPECT_EQ(fixture.at("out").shape(), Shape({2, 6, 5, 16}));
  EXPECT_NE(fixture.config().find("\"groups\": 4"), std::string::npos);
  EXPECT_EQ(test::Fixture("resnet_block_widen").params().at("mlp.1.weight").shape(),
            Shape({32, 32}));
  EXPECT_THROW(fixture.at("in.y"), Error);
}

TEST(Compare, RelativeL2) {
  const Tensor want = Tensor::of({2}, {3, 4});
  EXPECT_EQ(test::relative_l2(want, want), 0);
  EXPECT_DOUBLE_EQ(test::relative_l2(Tensor::of({2}, {3, 4.5f}), want), 0.1);
  EXPECT_TRUE(std::isinf(test::relative_l2(want, Tensor::zeros({2}))));
  EXPECT_TRUE(std::isnan(test::relative_l2(Tensor::of({2}, {std::nanf(""), 4}), want)));
  EXPECT_THROW(test::relative_l2(Tensor::zeros({1, 2}), want), Error);
  EXPECT_EQ(test::median({3, 1, 2}), 2);
  EXPECT_EQ(test::median({4, 1, 2, 3}), 2.5);
}

}  // namespace
}  // namespace ddpm
