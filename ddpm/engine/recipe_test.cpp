#include "ddpm/engine/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/hash.h"
#include "ddpm/engine/mixture_model_test_support.h"
#include "tests/support/errors.h"
#include "tests/support/folder.h"

namespace ddpm {
namespace {

using ::testing::HasSubstr;

class RecipeTest : public ::testing::Test {
 protected:
  RecipeTest() {
    write_file_atomic(path_, test::MixtureFile().bytes());
    model_ = load_model(path_);
    options_.count = 4;
    options_.seed = 18446744073709551615u;
    options_.sampling.sampler = "ddim";
    options_.sampling.steps = 7;
    options_.sampling.eta = 0.1;
    options_.height = 1;
    options_.width = 2;
  }
  RecipeWriter writer() const {
    return {model_, recipe_model(model_, "average", {}), {}, options_};
  }
  // The recipe with one member changed; removed if the text is empty.
  static std::string changed(const JsonObject& recipe, const std::string& name,
                             const std::string& json) {
    JsonObject result;
    for (const auto& [key, value] : recipe.members())
      if (key != name) result.set(key, value);
    if (!json.empty()) result.set(name, json);
    return result.dump();
  }
  static std::string refusal(const std::string& json) {
    return test::message_of<Error>([&] { parse_recipe(json, "a.png"); });
  }

  test::TemporaryFolder folder_;
  const std::string path_ = folder_ / "model.safetensors";
  Model model_;
  GenerateOptions options_;
};

TEST_F(RecipeTest, APictureComesBackAsOneOfItsCall) {
  const Recipe read = read_recipe(writer().picture(2), "a.png");
  EXPECT_FALSE(read.is_grid);
  EXPECT_EQ(read.model.hash, hash_hex(read_file(path_)));
  EXPECT_EQ(read.model.path, path_);
  EXPECT_EQ(read.guide.hash, "");
  EXPECT_EQ(read.device, "cpu");
  EXPECT_EQ(read.options.count, 1);
  EXPECT_EQ(read.options.first, 2);
  EXPECT_EQ(read.options.seed, options_.seed);
  EXPECT_EQ(read.options.sampling.steps, 7);
  EXPECT_EQ(read.options.sampling.eta, 0.1);
  EXPECT_EQ(read.options.width, 2);
  options_.count = 100;
  options_.batch = 3;
  const Tensor all = generate(*model_.network, model_.config, options_);
  const Tensor again = generate(*model_.network, model_.config, read.options);
  EXPECT_EQ(again.values(), all.rows(2, 3).clone().values());
}

TEST_F(RecipeTest, AGridComesBack) {
  const Recipe read = read_recipe(writer().grid(2, 8), "a.png");
  EXPECT_TRUE(read.is_grid);
  EXPECT_EQ(read.options.count, 4);
  EXPECT_EQ(read.columns, 2);
  EXPECT_EQ(read.scale, 8);
}

TEST_F(RecipeTest, WhatDecidesNoBitIsNotCompared) {
  const JsonObject one = writer().picture(2);
  options_.count = 9;
  options_.batch = 2;
  model_.path = folder_ / "copy.safetensors";
  write_file_atomic(model_.path, read_file(path_));
  EXPECT_TRUE(same_recipe(one, writer().picture(2)));
  EXPECT_FALSE(same_recipe(one, writer().picture(3)));
  options_.sampling.clip = "none";
  EXPECT_FALSE(same_recipe(one, writer().picture(2)));
}

TEST_F(RecipeTest, SurvivesJson) {
  const JsonObject recipe = writer().picture(1);
  EXPECT_TRUE(same_recipe(JsonObject::parse(recipe.dump(-1), "recipe"), recipe));
}

TEST_F(RecipeTest, EachConditionHasItsHash) {
  options_.condition = Tensor({2, 1, 2, 1});
  for (int64_t i = 0; i < 4; ++i) options_.condition.f32()[i] = static_cast<float>(i);
  const RecipeWriter recipes = writer();
  EXPECT_EQ(*recipes.picture(0).find("condition"), *recipes.picture(2).find("condition"));
  EXPECT_NE(*recipes.picture(0).find("condition"), *recipes.picture(1).find("condition"));
}

TEST_F(RecipeTest, DamageIsAnError) {
  const JsonObject recipe = writer().picture(0);
  EXPECT_EQ(refusal(recipe.dump()), "");
  for (const auto& [name, value] : recipe.members()) {
    EXPECT_THAT(refusal(changed(recipe, name, "")), HasSubstr("a.png")) << name;
    EXPECT_THAT(refusal(changed(recipe, name, "[[]]")), HasSubstr("a.png")) << name;
  }
  EXPECT_THAT(refusal(changed(recipe, "kind", "\"film\"")), HasSubstr("film"));
  EXPECT_THAT(refusal(changed(recipe, "sampler", "\"x\"")), HasSubstr("no sampler 'x'"));
  EXPECT_THAT(refusal(changed(recipe, "height", "-1")), HasSubstr("height"));
  EXPECT_THAT(refusal(changed(recipe, "magic", "1")), HasSubstr("knows no magic"));
  EXPECT_THAT(refusal("{"), HasSubstr("a.png"));
}

}  // namespace
}  // namespace ddpm
