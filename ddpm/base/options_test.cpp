#include "ddpm/base/options.h"
#include "tests/support/errors.h"

#include <gtest/gtest.h>

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

  void fields(Fields& field) {
    field("flip", flip, "mirror");
    field.group("Numbers");
    field("batch", batch, "pictures per step").range(1, 64).alias("batch_size");
    field("seed", seed, "decides");
    field("rate", rate, "of learning").above(0, 1).advice("2e-4 is usual").may_change();
    field("name", name, "of it").choices("letter", {"x", "y"});
    field("mults", mults, "of widths").range(1, 8).elements(1, 3);
  }
};

std::string refusal(const Sample& sample) {
  return test::refusal([&] { check_options("test", sample); });
}

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

TEST(Options, TextsOfAnyBytesComeBackAsTheyWere) {
  for (const std::string text :
       {"caf\xe9/\xff", "\xee\xbe\x80", "caf\xc3\xa9", "\xed\xa0\x80", "\x01\t\""}) {
    JsonObject object;
    object.set("name", json_value::write(text));
    Sample options;
    read_options(JsonObject::parse(object.dump(), "test"), options);
    EXPECT_EQ(options.name, text);
  }
}

TEST(Options, AnEarlierNameIsRead) {
  Sample options;
  read_options(JsonObject::parse("{\"batch_size\": 5}", "test"), options);
  EXPECT_EQ(options.batch, 5);
  EXPECT_THROW(
      read_options(JsonObject::parse("{\"batch_size\": 5, \"batch\": 5}", "test"), options), Error);
  const Fields fields = fields_of(options);
  EXPECT_EQ(fields.find("batch_size"), fields.find("batch"));
  EXPECT_EQ(fields.find("size"), nullptr);
}

TEST(Options, ValuesOutOfRangeAreNamedWithWhatWouldWork) {
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({.batch = 0}), "[test] batch is 0 but must lie between 1 and 64");
  EXPECT_EQ(refusal({.batch = 65}), "[test] batch is 65 but must lie between 1 and 64");
  EXPECT_EQ(refusal({.rate = 0}),
            "[test] rate is 0 but must be above 0 and at most 1; 2e-4 is usual");
  EXPECT_EQ(refusal({.rate = std::numeric_limits<double>::quiet_NaN()}),
            "[test] rate is nan but must be above 0 and at most 1; 2e-4 is usual");
  EXPECT_EQ(refusal({.rate = 1}), "");
  EXPECT_EQ(refusal({.name = "z"}), "[test] there is no letter 'z'; choose x or y");
  EXPECT_EQ(refusal({.mults = {}}), "[test] mults has 0 elements but must have 1 to 3");
  EXPECT_EQ(refusal({.mults = {1, 9}}),
            "[test] an element of mults is 9 but must lie between 1 and 8");
}

TEST(Options, BoundsMayBeOpen) {
  double value = 0;
  Fields fields;
  const Field& between = fields("between", value, "").between(0, 1);
  const Field& least = fields("least", value, "").at_least(0);
  const Field& free = fields("free", value, "");
  const auto passes = [&](const Field& field, double tried) {
    value = tried;
    try {
      field.check("test");
      return true;
    } catch (const UsageError&) {
      return false;
    }
  };
  EXPECT_FALSE(passes(between, 0));
  EXPECT_FALSE(passes(between, 1));
  EXPECT_TRUE(passes(between, 0.5));
  EXPECT_TRUE(passes(least, 0));
  EXPECT_FALSE(passes(least, -1e-9));
  EXPECT_FALSE(passes(least, std::numeric_limits<double>::infinity()));
  EXPECT_TRUE(passes(free, -1e300));
  EXPECT_FALSE(passes(free, std::numeric_limits<double>::infinity()));
}

TEST(Options, TraitsAreKept) {
  Sample sample;
  const Fields fields = fields_of(sample);
  EXPECT_TRUE(fields.find("rate")->changeable());
  EXPECT_FALSE(fields.find("batch")->changeable());
  EXPECT_EQ(fields.find("flip")->group(), "");
  EXPECT_EQ(fields.find("mults")->group(), "Numbers");
  EXPECT_NE(fields_table(fields).find("| `name` | `\"x\"` | of it: x or y |"), std::string::npos);
}

// A struct with a field that decides which other fields exist.
struct Shape {
  std::string kind = "circle";
  int64_t radius = 1, width = 2;

  void fields(Fields& field) {
    field("kind", kind, "").choices("kind", {"circle", "square"}).selects();
    if (kind == "circle") field("radius", radius, "");
    if (kind == "square") field("width", width, "");
  }
};

TEST(Options, ASelectorDecidesWhichFieldsAreRead) {
  Shape shape;
  read_options(JsonObject::parse("{\"width\": 7, \"kind\": \"square\"}", "test"), shape);
  EXPECT_EQ(shape.kind, "square");
  EXPECT_EQ(shape.width, 7);
  JsonObject object;
  write_options(shape, object);
  EXPECT_EQ(object.dump(-1), "{\"kind\":\"square\",\"width\":7}");
  EXPECT_THROW(read_options(JsonObject::parse("{\"kind\": \"star\"}", "test"), shape), UsageError);
}

TEST(Options, ChoicesInWords) {
  EXPECT_EQ(join_choices({"a"}), "a");
  EXPECT_EQ(join_choices({"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace ddpm
