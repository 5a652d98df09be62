// Recipes of a training: the values that its options start from. A file and flags then change
// single options.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ddpm/base/options.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

// The recipe of a training for which none is named: "fast". TrainOptions() itself is the recipe
// "tutorial".
std::string default_training_recipe();

// All options of a recipe. Throws UsageError for an unknown name, naming the choices.
TrainOptions recipe_options(const std::string& name);

// An option, and those whose best or possible values depend on it: fields of TrainOptions.
struct OptionFollowers {
  const char* option;
  std::vector<const char*> followers;
};
// A follower's own row comes after the one that it follows.
const std::vector<OptionFollowers>& option_followers();

// An option that has lost the recipe's value, and the one because of which: fields of TrainOptions.
struct FollowedChoice {
  std::string option, choice;
};

// `options` began with the values of `recipe`, and a user has changed some: those for which given()
// is true. Some values of a recipe suit only another one of its values: a learning rate suits an
// optimizer. Where a user has changed an option of option_followers() and does not give a follower,
// the follower gets the tutorial's value, so that the options fit together. Returns these options.
// Another family of networks begins with its own defaults. There, options that both families have
// get the recipe's values, if these are not the defaults of the recipe's family.
std::vector<FollowedChoice> follow_choices(TrainOptions& options, const TrainOptions& recipe,
                                           const std::function<bool(const Field&)>& given);

}  // namespace ddpm
