#include "ddpm/base/options.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace ddpm {
namespace {

struct Sample {
  bool flip = false;
  int64_t batch = 32;
  uint64_t seed = 0;
  double rate = 1e-3;
  std::string name = "x";
  std::vector<int64_t> mults = {1, 2};
  template <class V>
  void fields(V&& field) {
    field("flip", flip, "");
    field("batch", batch, "");
    field("seed", seed, "");
    field("rate", rate, "");
    field("name", name, "");
    field("mults", mults, "");
  }
};

TEST(Options, RoundTripThroughJson) {
  Sample written{true, 7, 18446744073709551615u, 0.1, "a \"b\" \xc3\xa9", {1, 4, 8}};
  JsonObject object;
  write_options(written, object);
  Sample read;
  read_options(JsonObject::parse(object.dump(), "test"), read);
  EXPECT_EQ(read.flip, written.flip);
  EXPECT_EQ(read.batch, written.batch);
  EXPECT_EQ(read.seed, written.seed);
  EXPECT_EQ(read.rate, written.rate);
  EXPECT_EQ(read.name, written.name);
  EXPECT_EQ(read.mults, written.mults);
}

TEST(Options, AbsentFieldsKeepTheirValue) {
  Sample options;
  read_options(JsonObject::parse("{\"batch\": 4}", "test"), options);
  EXPECT_EQ(options.batch, 4);
  EXPECT_EQ(options.name, "x");
}

TEST(Options, WrongTypesAreNamed) {
  for (const char* text :
       {"{\"batch\": \"4\"}", "{\"batch\": 1.5}", "{\"flip\": 1}", "{\"seed\": -1}",
        "{\"name\": true}", "{\"name\": [\"a\"]}", "{\"name\": 1.5}", "{\"name\": \"a\\u0000b\"}",
        "{\"mults\": [1, \"2\"]}", "{\"mults\": 2}", "{\"rate\": null}"}) {
    Sample options;
    EXPECT_THROW(read_options(JsonObject::parse(text, "test"), options), Error) << text;
  }
}

TEST(Options, ATextMayBeAWholeNumber) {
  Sample options;
  read_options(JsonObject::parse("{\"name\": 64}", "test"), options);
  EXPECT_EQ(options.name, "64");
}

// 2^63 and more do not become negative.
TEST(Options, NumbersThatDoNotFitAreRefused) {
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

TEST(Options, TextsOfAnyBytesComeBackAsTheyWere) {
  for (const std::string text :
       {"caf\xe9/\xff", "\xee\xbe\x80", "caf\xc3\xa9", "\xed\xa0\x80", "\x01\t\""}) {
    JsonObject object;
    object.set("name", json_value::write(text));
    Sample options;
    read_options(JsonObject::parse(object.dump(), "test"), options);
    EXPECT_EQ(options.name, text);
  }
  EXPECT_EQ(json_value::write(std::string("caf\xe9")), "\"caf\xee\xbf\xa9\"");
}

TEST(Options, DamagedJsonIsAnError) {
  for (const char* text : {"", "{", "[1]", "{\"a\": }", "nonsense", "{\"a\": 1, \"a\": 1}",
                           "{\"a\": {\"b\": 1, \"b\": 1}}", "{\"a\": \"\xff\"}", "{} {}"}) {
    EXPECT_THROW(JsonObject::parse(text, "test"), Error) << text;
  }
  EXPECT_THROW(JsonObject::parse(std::string_view("{}\0x", 4), "test"), Error);
  EXPECT_NO_THROW(JsonObject::parse("{\"a\": {\"b\": 1}, \"c\": {\"b\": 1}}", "test"));
}

std::string nested(size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

// Freeing or writing a tree takes stack for every level.
TEST(Options, DeepJsonIsRefusedBeforeItIsBuilt) {
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

TEST(Options, HugeJsonIsRefused) {
  EXPECT_THROW(JsonObject::parse(std::string((1 << 20) + 1, ' '), "test"), Error);
  std::string many = "{";
  for (int i = 0; i < 2000; ++i) many += "\"k" + std::to_string(i) + "\": 0, ";
  EXPECT_THROW(JsonObject::parse(many + "\"z\": 0}", "test"), Error);
}

TEST(Options, ErrorsQuoteTheBeginningOfALongValue) {
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

TEST(Options, Choices) {
  EXPECT_EQ(join_choices({"a"}), "a");
  EXPECT_EQ(join_choices({"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace ddpm
