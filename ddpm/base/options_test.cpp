#include "ddpm/base/options.h"

#include <gtest/gtest.h>

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
        "{\"name\": 3}", "{\"mults\": [1, \"2\"]}", "{\"mults\": 2}", "{\"rate\": null}"}) {
    Sample options;
    EXPECT_THROW(read_options(JsonObject::parse(text, "test"), options), Error) << text;
  }
}

TEST(Options, DamagedJsonIsAnError) {
  for (const char* text : {"", "{", "[1]", "{\"a\": }", "nonsense"}) {
    EXPECT_THROW(JsonObject::parse(text, "test"), Error) << text;
  }
}

TEST(Options, Choices) {
  EXPECT_EQ(join_choices({"a"}), "a");
  EXPECT_EQ(join_choices({"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace ddpm
