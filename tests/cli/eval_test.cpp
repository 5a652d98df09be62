// ddpm eval, of pictures and of models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <utility>

#include "ddpm/base/file.h"
#include "ddpm/base/json.h"
#include "ddpm/data/image.h"
#include "ddpm/io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/support/folder.h"

namespace ddpm::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Eval : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_CACHE_HOME", (folder_ / "caches").c_str(), 1);
    make_pictures(real_, 12);
    make_model(model_);
  }
  void TearDown() override { unsetenv("XDG_CACHE_HOME"); }

  // The JSON of a call.
  JsonObject figures(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "eval");
    arguments.insert(arguments.end(), {"--data", real_, "--json"});
    const Outcome outcome = run_ddpm(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return JsonObject::parse(outcome.out, "the output");
  }
  void expect_refused(std::vector<std::string> arguments, const std::string& says) const {
    arguments.insert(arguments.begin(), "eval");
    test::expect_refused(arguments, 2, says);
  }
  static double number(const JsonObject& object, const char* key) {
    const std::string* text = object.find(key);
    return text ? std::strtod(text->c_str(), nullptr) : NAN;
  }

  TemporaryFolder folder_;
  const std::string real_ = folder_ / "real", model_ = folder_ / "model.safetensors";
};

TEST_F(Eval, OfAFolderWithItself) {
  const JsonObject got = figures({real_});
  EXPECT_EQ(number(got, "n"), 12);
  EXPECT_EQ(number(got, "n_real"), 12);
  EXPECT_EQ(*got.find("features"), "\"random-v1\"");
  EXPECT_NEAR(number(got, "frechet"), 0, 1e-6);
  EXPECT_EQ(number(got, "precision"), 1);
  EXPECT_EQ(number(got, "recall"), 1);
  EXPECT_EQ(number(got, "coverage"), 1);
  EXPECT_EQ(number(got, "near_copies"), 1);
  EXPECT_EQ(got.find("bits_per_dim"), nullptr);
  EXPECT_THAT(*got.find("warnings"), HasSubstr("12 generated pictures do not determine"));
  EXPECT_THAT(names_in(folder_ / "caches/ddpm"), ::testing::SizeIs(1));
}

TEST_F(Eval, OfAModelWithEveryOutput) {
  const std::string saved = folder_ / "f.safetensors", near = folder_ / "near.png";
  const JsonObject got = figures({model_, "--n", "7", "--steps", "2", "--save-features", saved,
                                  "--neighbours", near, "--bits", "3", "--bits-steps", "2"});
  EXPECT_EQ(number(got, "n"), 7);
  EXPECT_GT(number(got, "frechet"), 0);
  EXPECT_GT(number(got, "bits_per_dim"), 0);
  const SafetensorsFile features = SafetensorsFile::open(saved);
  EXPECT_EQ(features.read("real").shape(), (Shape{12, 256}));
  EXPECT_EQ(features.read("generated").shape(), (Shape{7, 256}));
  // Seven rows of a drawn picture and five real ones.
  EXPECT_EQ(probe_image(read_file(near)).size, (ImageSize{7 * 66 + 2, 6 * 66 + 2}));
}

TEST_F(Eval, PrintsATable) {
  const Outcome outcome =
      run_ddpm({"eval", model_, "--data", real_, "--n", "6", "--steps", "1", "--cache", "none"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("6 pictures of"));
  EXPECT_THAT(outcome.out, HasSubstr("frechet"));
  EXPECT_THAT(outcome.err, HasSubstr("warning: the Frechet distance is too large: 6 generated"));
  EXPECT_FALSE(exists(folder_ / "caches"));
}

TEST_F(Eval, OfEachClass) {
  for (const char* set : {"judged", "data"}) {
    make_pictures(folder_ / set + "/cat", 8);
    make_pictures(folder_ / set + "/dog", 9);
  }
  const Outcome outcome =
      run_ddpm({"eval", folder_ / "judged", "--data", folder_ / "data", "--classes", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const JsonObject got = JsonObject::parse(outcome.out, "the output");
  const JsonObject classes = JsonObject::parse(*got.find("per_class"), "per_class");
  const JsonObject dog = JsonObject::parse(*classes.find("dog"), "dog");
  EXPECT_EQ(number(dog, "n"), 9);
  EXPECT_EQ(*dog.find("frechet"), "null");
  EXPECT_THAT(*dog.find("warnings"), HasSubstr("at least 257 are needed"));
  EXPECT_EQ(number(dog, "recall"), 1);
}

TEST_F(Eval, RefusesWhatCannotWork) {
  expect_refused({model_}, "--data");
  expect_refused({model_, "--data", real_, "--n", "1"}, "--n is 1");
  expect_refused({real_, "--data", real_, "--n", "13"}, "--n is 13, but");
  expect_refused({real_, "--data", real_, "--bits", "2"}, "--bits needs a model");
  expect_refused({real_, "--data", real_, "--features", "vgg"}, "choose random, classifier");
  expect_refused({real_, "--data", real_, "--features", "classifier"}, "class");
  expect_refused({model_, "--data", real_, "--condition", real_}, "--condition is for");
  expect_refused({model_, "--data", real_, "--neighbours", "x.jpg"}, ".png");
  expect_refused({model_, "--data", real_, "--sampler", "none"}, "there is no sampler");
  test::expect_refused({"eval", folder_ / "nothing", "--data", real_}, 1, "nothing");
}

TEST_F(Eval, OfPicturesRefusesTheFlagsOfDrawing) {
  const std::pair<const char*, const char*> flags[] = {{"--seed", "1"},
                                                       {"--sampler", "ddim"},
                                                       {"--steps", "5"},
                                                       {"--order", "2"},
                                                       {"--eta", "0.5"},
                                                       {"--churn", "1"},
                                                       {"--spacing", "linspace"},
                                                       {"--clip", "none"},
                                                       {"--guidance", "2"},
                                                       {"--batch", "4"},
                                                       {"--guidance-rescale", "1"},
                                                       {"--guidance-interval", "1,2"},
                                                       {"--guide", "x"},
                                                       {"--weights", "raw"},
                                                       {"--device", "ref"},
                                                       {"--condition", "x"},
                                                       {"--timesteps", "10"},
                                                       {"--bits", "2"},
                                                       {"--bits-steps", "2"}};
  for (const auto& [flag, value] : flags) {
    expect_refused({real_, "--data", real_, flag, value},
                   std::string(flag) + " needs a model, but " + real_ + " holds pictures");
  }
  expect_refused({real_, "--data", real_, "--labels", "x.csv"}, "give --classes or that");
}

TEST_F(Eval, OfAModelRefusesFlagsThatChangeNothing) {
  expect_refused({model_, "--data", real_, "--channels", "3"}, "get the 3 of the model");
  expect_refused({model_, "--data", real_, "--bits-steps", "3"}, "give that too");
  expect_refused({model_, "--data", real_, "--classes"}, "this one draws none");
  expect_refused({model_, "--data", real_, "--labels", "x.csv"}, "give --features classifier");
  expect_refused({model_, "--data", real_, "--steps", "0"}, "--steps is 0; it must be at least 1");
  expect_refused({model_, "--data", real_, "--guidance", "2"}, "trained without classes");
}

TEST_F(Eval, TellsHowPicturesWereDrawn) {
  const JsonObject got =
      figures({model_, "--n", "6", "--steps", "4", "--seed", "7", "--guide", model_});
  EXPECT_NE(*got.find("sampler"), "\"auto\"");
  EXPECT_NE(*got.find("spacing"), "\"auto\"");
  EXPECT_EQ(number(got, "steps"), 4);
  EXPECT_EQ(number(got, "seed"), 7);
  EXPECT_EQ(number(got, "guidance"), 1.5);
  EXPECT_EQ(*got.find("weights"), "\"average\"");
  EXPECT_EQ(number(got, "n"), 6);
  EXPECT_EQ(*got.find("size"), "\"8x8\"");
  EXPECT_EQ(number(got, "width"), 256);  // of the features
  // As in the recipe of a PNG file.
  const Outcome outcome = run_ddpm({"sample", model_, "--out", folder_ / "grid.png", "--n", "1",
                                    "--steps", "4", "--seed", "7", "--guide", model_});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const JsonObject recipe =
      JsonObject::parse(run_ddpm({"info", folder_ / "grid.png", "--json"}).out, "the recipe");
  for (const auto& [name, value] : recipe.members()) {
    if (std::set<std::string>{"n", "kind", "columns", "scale", "height", "width"}.contains(name))
      continue;
    const std::string* here = got.find(name == "model_weights" ? "weights" : name);
    ASSERT_NE(here, nullptr) << name;
    EXPECT_EQ(*here, value) << name;
  }
  // Pictures that are there already were not drawn.
  const JsonObject given = figures({real_});
  for (const char* key : {"sampler", "steps", "seed", "weights", "model_hash"})
    EXPECT_EQ(given.find(key), nullptr) << key;
}

TEST_F(Eval, WarnsOfGuidanceThatChangesNothing) {
  const Outcome outcome = run_ddpm(
      {"eval", model_, "--data", real_, "--n", "6", "--steps", "1", "--guide", model_, "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("warning: --guide is the model itself"));
}

}  // namespace
}  // namespace ddpm::test
