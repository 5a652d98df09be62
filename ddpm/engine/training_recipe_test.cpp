#include "ddpm/engine/training_recipe.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/engine/training_recipe_table.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/tutorial/options.h"
#include "tests/support/errors.h"

namespace ddpm {
namespace {

JsonObject json_of(const TrainOptions& options) {
  JsonObject object;
  write_options(options, object);
  return object;
}

std::string value_of(const TrainOptions& options, const std::string& name) {
  return *json_of(options).find(name);
}

// Sets options, as a user does, and lets the others follow. Returns "follower<choice" for each
// option that followed.
std::set<std::string> change(TrainOptions& options, const TrainOptions& recipe,
                             const JsonObject& changes) {
  read_options(changes, options);
  const auto given = [&](const Field& field) { return changes.find(field.name()) != nullptr; };
  std::set<std::string> followed;
  for (const FollowedChoice& each : follow_choices(options, recipe, given))
    followed.insert(each.option + "<" + each.choice);
  return followed;
}

TEST(TrainingRecipe, TheTutorialsIsWhatOptionsAreWithoutARecipe) {
  const TrainOptions tutorial = recipe_options("tutorial");
  EXPECT_EQ(json_of(tutorial).members(), json_of(TrainOptions()).members());
  const std::pair<const char*, const char*> values[] = {{"recipe", "\"tutorial\""},
                                                        {"objective", "\"eps\""},
                                                        {"schedule", "\"cosine\""},
                                                        {"timesteps", "1000"},
                                                        {"loss", "\"mse\""},
                                                        {"optimizer", "\"adam\""},
                                                        {"lr", "0.0002"},
                                                        {"lr_schedule", "\"constant\""},
                                                        {"ema_decay", "0.9995"},
                                                        {"network", "\"tutorial\""},
                                                        {"dim", "64"},
                                                        {"dim_mults", "[1,2,4,8]"},
                                                        {"batch", "32"},
                                                        {"steps", "10000"},
                                                        {"weighting", "\"none\""},
                                                        {"low_discrepancy", "false"}};
  for (const auto& [name, value] : values) EXPECT_EQ(value_of(tutorial, name), value) << name;
}

TEST(TrainingRecipe, TheFirstIsTheDefault) {
  EXPECT_EQ(default_training_recipe(), training_recipe_names().front());
  EXPECT_EQ(recipe_options(default_training_recipe()).recipe, default_training_recipe());
}

TEST(TrainingRecipe, EachSetsOnlyOptionsThatThereAre) {
  for (const TrainingRecipe& recipe : training_recipes()) {
    const TrainOptions options = recipe_options(recipe.name);
    const Fields fields = fields_of(options);
    const JsonObject values = JsonObject::parse(recipe.values, recipe.name);
    for (const auto& [name, json] : values.members()) {
      EXPECT_NE(fields.find(name), nullptr) << recipe.name << " sets " << name;
      EXPECT_NE(name, "recipe");
    }
  }
}

TEST(TrainingRecipe, EachGivesATrainingOfUsualPictures) {
  for (const std::string& name : training_recipe_names()) {
    for (const char* size : {"32", "64"}) {
      TrainOptions options = recipe_options(name);
      options.data.size = size;
      EXPECT_NO_THROW(options.check()) << name;
      const int64_t side = std::stoll(size);
      EXPECT_NO_THROW(options.model_config(side, side, 3).check()) << name << " " << size;
    }
  }
}

TEST(TrainingRecipe, UnknownNamesAreRefused) {
  const std::string message = test::message_of([] { recipe_options("fsat"); });
  EXPECT_NE(message.find("there is no recipe 'fsat'; choose fast or tutorial"), std::string::npos)
      << message;
  EXPECT_THROW(recipe_options(""), UsageError);
}

// A user who changes one option of a recipe need not know which others it was chosen with.
TEST(TrainingRecipe, EveryChoiceFitsTheRestOfEveryRecipe) {
  TrainOptions strict = recipe_options(default_training_recipe());
  read_options({{"objective", "\"v\""},
                {"zero_snr", "true"},
                {"weighting", "\"none\""},
                {"learned_variance", "true"},
                {"optimizer", "\"soap\""},
                {"precondition_every", "20"},
                {"weight_decay", "0.1"},
                {"lr_schedule", "\"cosine\""},
                {"lr_decay_start", "500"},
                {"pairing", "\"ot\""},
                {"crop", "\"random\""},
                {"sample_steps", "50"}},
               strict);
  TrainOptions weighted = strict;
  read_options({{"zero_snr", "false"}, {"weighting", "\"min-snr\""}, {"min_snr_gamma", "4.0"}},
               weighted);
  TrainOptions flow = recipe_options(default_training_recipe());
  read_options({{"objective", "\"flow\""}, {"time_sampling", "\"logit-normal\""}}, flow);
  std::vector<TrainOptions> recipes = {strict, weighted, flow};
  for (const std::string& name : training_recipe_names()) recipes.push_back(recipe_options(name));
  int tried = 0;
  for (const TrainOptions& recipe : recipes) {
    ASSERT_NO_THROW(recipe.check());
    std::vector<JsonObject> changes = {
        {{"condition", "\"grey\""}}, {{"timesteps", "20"}}, {{"fit", "\"contain\""}}};
    const Fields fields = fields_of(recipe);
    for (const char* option :
         {"objective", "weighting", "schedule", "optimizer", "lr_schedule", "loss", "network"}) {
      for (const std::string& choice : fields.find(option)->choices())
        changes.push_back({{option, json_value::write(choice)}});
    }
    if (recipe.process.objective == "v") changes.push_back({{"zero_snr", "true"}});
    for (const JsonObject& one : changes) {
      TrainOptions options = recipe;
      change(options, recipe, one);
      EXPECT_NO_THROW(options.check()) << recipe.recipe << " with " << one.dump(-1);
      ++tried;
    }
  }
  EXPECT_GT(tried, 100);
}

TEST(TrainingRecipe, WhatSuitsOnlyAnotherChoiceFollowsIt) {
  TrainOptions recipe;
  read_options({{"objective", "\"v\""},
                {"weighting", "\"min-snr\""},
                {"min_snr_gamma", "4.0"},
                {"lr", "0.002"},
                {"optimizer", "\"soap\""},
                {"precondition_every", "20"},
                {"batch", "64"}},
               recipe);
  TrainOptions options = recipe;
  EXPECT_EQ(change(options, recipe, {{"optimizer", "\"adam\""}}),
            (std::set<std::string>{"lr<optimizer", "precondition_every<optimizer"}));
  EXPECT_EQ(value_of(options, "lr"), "0.0002");
  EXPECT_EQ(value_of(options, "precondition_every"), "10");
  EXPECT_EQ(value_of(options, "batch"), "64");
  EXPECT_EQ(value_of(options, "weighting"), "\"min-snr\"");

  options = recipe;
  EXPECT_EQ(change(options, recipe, {{"objective", "\"eps\""}}),
            (std::set<std::string>{"weighting<objective", "min_snr_gamma<weighting"}));
  EXPECT_EQ(value_of(options, "weighting"), "\"none\"");
  EXPECT_EQ(value_of(options, "min_snr_gamma"), "5.0");
}

TEST(TrainingRecipe, WhatAUserGivesIsNeverChanged) {
  TrainOptions recipe;
  read_options({{"objective", "\"v\""}, {"weighting", "\"min-snr\""}, {"lr", "0.002"}}, recipe);
  TrainOptions options = recipe;
  EXPECT_EQ(change(options, recipe,
                   {{"optimizer", "\"soap\""},
                    {"lr", "0.002"},
                    {"objective", "\"x0\""},
                    {"weighting", "\"min-snr\""}}),
            std::set<std::string>{});
  EXPECT_EQ(value_of(options, "lr"), "0.002");
  EXPECT_EQ(value_of(options, "weighting"), "\"min-snr\"");
}

TEST(TrainingRecipe, AnOptionThatIsGivenItsOwnValueChangesNothing) {
  const TrainOptions recipe = recipe_options(default_training_recipe());
  TrainOptions options = recipe;
  EXPECT_EQ(change(options, recipe, json_of(recipe)), std::set<std::string>{});
  EXPECT_EQ(json_of(options).members(), json_of(recipe).members());
}

TEST(TrainingRecipe, AnotherFamilyGetsTheWidthsOfTheRecipe) {
  TrainOptions recipe;
  recipe.network = tutorial::UnetConfig{.dim = 24, .dim_mults = {1, 2, 2}, .heads = 2};
  TrainOptions options = recipe;
  EXPECT_EQ(change(options, recipe, {{"network", "\"lucidrains\""}}), std::set<std::string>{});
  // One number of heads is no list, so it stays that of the family.
  EXPECT_EQ(options.network,
            NetworkConfig(lucidrains::UnetConfig{.dim = 24, .dim_mults = {1, 2, 2}}));
  options = recipe;
  change(options, recipe, {{"network", "\"lucidrains\""}, {"dim", "32"}});
  EXPECT_EQ(options.network,
            NetworkConfig(lucidrains::UnetConfig{.dim = 32, .dim_mults = {1, 2, 2}}));
}

// Every option in which recipes differ, with its value in each.
std::string table_of_recipes() {
  const std::vector<std::string> names = training_recipe_names();
  std::vector<JsonObject> values;
  std::string table = "| option |", line = "\n| --- |";
  for (const std::string& name : names) {
    table += fmt::format(" `{}` |", name);
    line += " --- |";
    values.push_back(json_of(recipe_options(name)));
  }
  table += line + "\n";
  for (const auto& [name, json] : values[0].members()) {
    const auto differs = [&, &name = name, &json = json](const JsonObject& other) {
      return *other.find(name) != json;
    };
    if (name == "recipe" || std::none_of(values.begin(), values.end(), differs)) continue;
    table += fmt::format("| `{}` |", name);
    for (const JsonObject& recipe : values) table += fmt::format(" `{}` |", *recipe.find(name));
    table += "\n";
  }
  return table;
}

std::string table_of_followers() {
  std::string table =
      "| if you change | these get the tutorial's value unless you give them |\n| --- | --- |\n";
  for (const OptionFollowers& choice : option_followers()) {
    std::string followers;
    for (const char* follower : choice.followers)
      followers += fmt::format("{}`{}`", followers.empty() ? "" : ", ", follower);
    table += fmt::format("| `{}` | {} |\n", choice.option, followers);
  }
  return table;
}

TEST(TrainingRecipe, TheDocumentationHoldsTheTables) {
  const std::string docs = read_file(std::string(DDPM_SOURCE_DIR) + "/docs/recipes.md");
  for (const std::string& table : {table_of_recipes(), table_of_followers()}) {
    EXPECT_NE(docs.find(table + "\n"), std::string::npos)
        << "docs/recipes.md should hold this table:\n\n"
        << table;
  }
}

}  // namespace
}  // namespace ddpm
