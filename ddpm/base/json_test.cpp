#include "ddpm/base/json.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace ddpm {
namespace {

// Numbers of 2^63 and more must not become negative.
TEST(Json, NumbersThatDoNotFitAreRefused) {
  for (const char* number :
       {"9223372036854775808", "18446744073709551615", "18446744073709551616",
        "-9223372036854775809", "1e3", "1234567890123456789012345678901234567890"}) {
    int64_t value = 0;
    std::vector<int64_t> values;
    EXPECT_THROW(json_value::read(number, "n", value), Error) << number;
    EXPECT_THROW(json_value::read(std::string("[") + number + "]", "n", values), Error) << number;
  }
  int64_t value = 0;
  json_value::read("9223372036854775807", "n", value);
  EXPECT_EQ(value, std::numeric_limits<int64_t>::max());
  double rate = 0;
  EXPECT_THROW(json_value::read("1e999", "rate", rate), Error);
}

TEST(Json, BytesThatAreNoUtf8ArePrivateCharacters) {
  EXPECT_EQ(json_value::write(std::string("caf\xe9")), "\"caf\xee\xbf\xa9\"");
}

TEST(Json, DamagedJsonIsAnError) {
  for (const char* text : {"", "{", "[1]", "{\"a\": }", "nonsense", "{\"a\": 1, \"a\": 1}",
                           "{\"a\": {\"b\": 1, \"b\": 1}}", "{\"a\": \"\xff\"}", "{} {}"}) {
    EXPECT_THROW(JsonObject::parse(text, "test"), Error) << text;
  }
  EXPECT_THROW(JsonObject::parse(std::string_view("{}\0x", 4), "test"), Error);
  EXPECT_NO_THROW(JsonObject::parse("{\"a\": {\"b\": 1}, \"c\": {\"b\": 1}}", "test"));
}

std::string nested(size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

// Freeing or writing a tree takes stack for every level.
TEST(Json, DeepJsonIsRefusedBeforeItIsBuilt) {
  EXPECT_NO_THROW(JsonObject::parse("{\"a\": " + nested(31) + "}", "test"));
  bool flag = false;
  std::vector<int64_t> list;
  for (const size_t levels : {size_t{32}, size_t{65000}, size_t{500000}}) {
    EXPECT_THROW(JsonObject::parse("{\"a\": " + nested(levels) + "}", "test"), Error);
    EXPECT_THROW(JsonObject::parse(std::string(levels * 2, '['), "test"), Error);
    EXPECT_THROW(json_value::read(nested(levels + 1), "flag", flag), Error);
    EXPECT_THROW(json_value::read(nested(levels + 1), "list", list), Error);
  }
}

TEST(Json, HugeJsonIsRefused) {
  EXPECT_THROW(JsonObject::parse(std::string((1 << 20) + 1, ' '), "test"), Error);
  std::string many = "{";
  for (int i = 0; i < 2000; ++i) many += "\"k" + std::to_string(i) + "\": 0, ";
  EXPECT_THROW(JsonObject::parse(many + "\"z\": 0}", "test"), Error);
}

TEST(Json, ErrorsQuoteTheBeginningOfALongValue) {
  const std::string value = "\"" + std::string(5000, 'x') + "\"";
  const auto message = [](const std::function<void()>& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return std::string(10000, '?');
  };
  double rate = 0;
  EXPECT_LT(message([&] { json_value::read(value, "rate", rate); }).size(), 250u);
  EXPECT_LT(message([&] { JsonObject::parse("{\"a\": " + value + value, "test"); }).size(), 300u);
}

}  // namespace
}  // namespace ddpm
