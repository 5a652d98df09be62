// The table of the recipes of a training. A recipe is a set of values that the options of a new
// training start from. (engine/recipe.h is about something else: how a picture was made.)
#pragma once

#include <string>
#include <vector>

namespace ddpm {

struct TrainingRecipe {
  const char* name;
  // One line for the help.
  const char* help;
  // JSON with the names of config.json. Options that are not in it have the values of TrainOptions,
  // which are the tutorial's.
  const char* values;
};

// The first one is the default of `ddpm train`.
const std::vector<TrainingRecipe>& training_recipes();
std::vector<std::string> training_recipe_names();
// Throws UsageError naming the choices.
const TrainingRecipe& find_training_recipe(const std::string& name);

}  // namespace ddpm
