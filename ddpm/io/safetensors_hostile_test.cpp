// Headers that are wrong, damaged or too large. Each must give an Error that says what is wrong.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ddpm/base/error.h"
#include "ddpm/base/utf8.h"
#include "ddpm/io/safetensors.h"
#include "ddpm/io/safetensors_header.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

std::string length_prefix(uint64_t length) {
  return std::string(reinterpret_cast<const char*>(&length), 8);
}

// The text of the error when a file of these bytes is opened.
std::string open_bytes(const std::string& contents) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      ("ddpm_hostile_test_" + std::to_string(::getpid()) + ".safetensors");
  std::ofstream(path, std::ios::binary) << contents;
  const std::string message = test::message_of([&] { SafetensorsFile::open(path); });
  std::filesystem::remove(path);
  return message;
}

std::string open_header(const std::string& header, size_t data_bytes = 8) {
  return open_bytes(length_prefix(header.size()) + header + std::string(data_bytes, '\0'));
}

struct Case {
  const char* name;
  std::string header;
  const char* says;
};

class HostileHeader : public testing::TestWithParam<Case> {};

TEST_P(HostileHeader, IsRefusedWithItsReason) {
  const std::string message = open_header(GetParam().header);
  EXPECT_NE(message.find(GetParam().says), std::string::npos) << message;
  EXPECT_EQ(message.find("[safetensors] "), 0u) << message;
}

// A header with one tensor "a" that has the given fields.
std::string tensor(const std::string& fields) { return R"({"a":{)" + fields + "}}"; }

std::string tensor(const char* dtype, const char* shape, const char* offsets) {
  return tensor(std::string(R"("dtype":")") + dtype + R"(","shape":)" + shape +
                R"(,"data_offsets":)" + offsets);
}

std::string two(const char* first, const char* second) {
  return std::string(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)") + first +
         R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}";
}

INSTANTIATE_TEST_SUITE_P(
    Json, HostileHeader,
    testing::Values(
        Case{"Empty", "", "not valid JSON"},
        Case{"Garbage", "garbage!", "not valid JSON at byte 1"},
        Case{"CutOff", R"({"a":{"dtype")", "not valid JSON"},
        Case{"Trailing", R"({} {})", "not valid JSON"},
        Case{"Comma", R"({"__metadata__":{},})", "not valid JSON"},
        Case{"Nul", std::string("{}\0{\"a\":1}", 10), "not valid JSON at byte 2"},
        Case{"Array", "[]", "header is an array, not an object"},
        Case{"Number", "17", "header is the number 17"}, Case{"Null", "null", "header is null"},
        Case{"BadUtf8", "{\"\xFF\":{}}", "not UTF-8 at byte 2"},
        Case{"OverlongUtf8", "{\"\xC0\xAF\":{}}", "not UTF-8 at byte 2"},
        Case{"Surrogate", R"({"\ud800":{}})", "not valid JSON"},
        Case{"DeepAtTop", std::string(100000, '['), "header is an array"},
        Case{"DeepInTensor", R"({"a":)" + std::string(100000, '['), "\"a\" is an array"},
        Case{"DeepInShape", R"({"a":{"shape":)" + std::string(100000, '['), "holds an array"},
        Case{"DeepInMetadata", R"({"__metadata__":{"k":)" + std::string(100000, '{'),
             "metadata \"k\" is an object"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Fields, HostileHeader,
    testing::Values(
        Case{"TensorTwice",
             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
             "key \"a\" appears twice"},
        Case{"TensorTwiceEscaped",
             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
             R"("\u0061":{}})",
             "key \"a\" appears twice"},
        Case{"FieldTwice", tensor(R"("dtype":"F32","dtype":"F32")"),
             "key \"dtype\" of tensor \"a\" appears twice"},
        Case{"MetadataTwice", R"({"__metadata__":{},"__metadata__":{}})",
             "key \"__metadata__\" appears twice"},
        Case{"MetadataKeyTwice", R"({"__metadata__":{"k":"1","k":"2"}})",
             "key \"k\" in the metadata appears twice"},
        Case{"MetadataNumber", R"({"__metadata__":{"k":1}})", "metadata \"k\" is the number 1"},
        Case{"MetadataNull", R"({"__metadata__":{"k":null}})", "metadata \"k\" is null"},
        Case{"MetadataText", R"({"__metadata__":"k"})", "\"__metadata__\" is the text \"k\""},
        Case{"TensorNumber", R"({"a":3})", "\"a\" is the number 3, not an object"},
        Case{"NoDtype", tensor(R"("shape":[1],"data_offsets":[0,4])"), "lacks its dtype"},
        Case{"NoShape", tensor(R"("dtype":"F32","data_offsets":[0,4])"), "lacks its shape"},
        Case{"NoOffsets", tensor(R"("dtype":"F32","shape":[1])"), "lacks its data_offsets"},
        Case{"UnknownField", tensor(R"("extra":1)"), "unknown field \"extra\""},
        Case{"DtypeNumber", tensor(R"("dtype":1)"), "dtype of tensor \"a\" is the number 1"},
        Case{"ShapeText", tensor(R"("shape":"1")"), "shape of tensor \"a\" is the text \"1\""},
        Case{"OffsetsObject", tensor(R"("data_offsets":{})"), "is an object, not an array"},
        Case{"ShapeOfTexts", tensor("F32", R"(["1"])", "[0,4]"), "holds the text \"1\""},
        Case{"ShapeOfFractions", tensor("F32", "[1.0]", "[0,4]"), "holds \"1.0\", not whole"},
        Case{"OffsetsOfBooleans", tensor("F32", "[1]", "[false,true]"), "hold false, not whole"},
        Case{"UnknownDtype", tensor("F31", "[1]", "[0,4]"), "unknown type \"F31\""}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Sizes, HostileHeader,
    testing::Values(
        Case{"NegativeExtent", tensor("F32", "[-1]", "[0,4]"), "negative extent -1"},
        Case{"NegativeOffset", tensor("F32", "[1]", "[-4,0]"), "negative offset -4"},
        Case{"HugeExtent", tensor("F32", "[9223372036854775808]", "[0,8]"), "overflows"},
        Case{"BeyondIntegers", tensor("F32", "[18446744073709551616]", "[0,8]"), "not whole"},
        Case{"Product", tensor("F32", "[4294967296,4294967296]", "[0,8]"), "overflows"},
        Case{"ProductToZero", tensor("F32", "[4294967296,4294967296,0]", "[0,0]"), "overflows"},
        Case{"ProductWrapsToEight", tensor("F32", "[4611686018427387906,1]", "[0,8]"), "overflows"},
        Case{"Rank7", tensor("F32", "[1,1,1,1,1,1,2]", "[0,8]"), "more than 6 axes"},
        Case{"OneOffset", tensor("F32", "[2]", "[8]"), "fewer than two data_offsets"},
        Case{"ThreeOffsets", tensor("F32", "[2]", "[0,8,8]"), "more than two data_offsets"},
        Case{"Reversed", tensor("F32", "[2]", "[8,0]"), "[8, 0] reversed"},
        Case{"BeyondEnd", tensor("F32", "[3]", "[0,12]"), "ends at byte 12 of data that has 8"},
        Case{"FarBeyondEnd", tensor("F32", "[2]", "[18446744073709551607,18446744073709551615]"),
             "ends at byte 18446744073709551615"},
        Case{"TooFewBytes", tensor("F32", "[2]", "[0,4]"), "takes 4 bytes, but F32 [2] needs 8"},
        Case{"TooManyBytes", tensor("F32", "[1]", "[0,8]"), "takes 8 bytes, but F32 [1] needs 4"},
        Case{"EmptyWithBytes", tensor("F32", "[0]", "[0,8]"), "takes 8 bytes"},
        Case{"Same", two("[0,4]", "[0,4]"), "\"a\" and \"b\" overlap"},
        Case{"Overlap", two("[2,6]", "[0,4]"), "\"b\" and \"a\" overlap"},
        Case{"HoleBefore", tensor("F32", "[1]", "[4,8]"), "4 bytes before tensor \"a\""},
        Case{"HoleAtEnd", tensor("F32", "[1]", "[0,4]"), "4 bytes at its end"},
        Case{"NoTensors", "{}", "8 bytes at its end"}),
    [](const auto& info) { return info.param.name; });

TEST(HostileFile, ShorterThanItsLength) {
  EXPECT_NE(open_bytes("").find("has 0 bytes"), std::string::npos);
  EXPECT_NE(open_bytes("1234567").find("has 7 bytes"), std::string::npos);
}

TEST(HostileFile, HeaderBeyondTheFile) {
  const std::string message = open_bytes(length_prefix(100) + "{}");
  EXPECT_NE(message.find("header of 100 bytes but has 2"), std::string::npos) << message;
}

TEST(HostileFile, HeaderBeyondAllMeasure) {
  for (uint64_t length : {kMaxSafetensorsHeader + 1, ~uint64_t{0}, uint64_t{1} << 63}) {
    const std::string message = open_bytes(length_prefix(length) + "{}");
    EXPECT_NE(message.find("more than the 100000000 allowed"), std::string::npos) << message;
  }
}

TEST(HostileFile, EveryTruncationIsAnError) {
  const std::string header = R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],)"
                             R"("data_offsets":[0,8]}})";
  const std::string whole = length_prefix(header.size()) + header + std::string(8, '\0');
  EXPECT_EQ(open_bytes(whole), "");
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(open_bytes(whole.substr(0, length)), "") << length;
  }
}

TEST(HostileFile, NamesInMessagesAreHarmless) {
  const std::string message =
      open_header(R"({"\u001b[2J\n)" + std::string(500, 'x') + R"(":{"dtype":"F31"}})");
  EXPECT_NE(message.find(R"("\x1b[2J\nxxx)"), std::string::npos) << message;
  EXPECT_LT(message.size(), 400u);
}

TEST(Utf8, AcceptsTextAndFindsTheFirstBadByte) {
  const auto bad = [](const std::string& text) { return find_invalid_utf8(text); };
  EXPECT_EQ(bad("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF"), std::string::npos);
  EXPECT_EQ(bad("ab\x80"), 2u);                // a continuation alone
  EXPECT_EQ(bad("a\xE2\x82"), 1u);             // cut off
  EXPECT_EQ(bad("\xE2\x28\xA1"), 0u);          // no continuation
  EXPECT_EQ(bad("\xE0\x80\x80"), 0u);          // overlong
  EXPECT_EQ(bad("\xED\xA0\x80"), 0u);          // a surrogate
  EXPECT_EQ(bad("\xF4\x90\x80\x80"), 0u);      // beyond U+10FFFF
  EXPECT_EQ(bad("\xF8\x88\x80\x80\x80"), 0u);  // five bytes
}

}  // namespace
}  // namespace ddpm
