#include "ddpm/engine/training_recipe_table.h"

#include "ddpm/base/named_rows.h"

namespace ddpm {

const std::vector<TrainingRecipe>& training_recipes() {
  static const std::vector<TrainingRecipe> recipes = {
      {"fast",
       "good pictures after a short training: a small network that predicts v and learns the "
       "classes "
       "that there are, levels of noise spread evenly over each batch, the optimizer SOAP, and a "
       "learning rate that falls to 0",
       R"({
         "dim": 32,
         "dim_mults": [1, 2, 4],
         "attention_levels": [0, 0, 1],
         "objective": "v",
         "low_discrepancy": true,
         "batch": 64,
         "optimizer": "soap",
         "lr": 2e-3,
         "lr_schedule": "cosine"
       })"},
      {"tutorial",
       "the tutorial's training: a network of 35.7 million parameters that predicts the noise, and "
       "Adam with a constant learning rate",
       "{}"}};
  return recipes;
}

std::vector<std::string> training_recipe_names() { return names_of(training_recipes()); }

const TrainingRecipe& find_training_recipe(const std::string& name) {
  return find_by_name(training_recipes(), name, "train", "recipe");
}

}  // namespace ddpm
