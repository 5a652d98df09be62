#include "ddpm/engine/training_recipe.h"

#include "ddpm/base/json.h"
#include "ddpm/engine/training_recipe_table.h"

namespace ddpm {
namespace {

NetworkConfig defaults_of(const std::string& family) {
  NetworkConfig network;
  read_options({{"network", json_value::write(family)}}, network);
  return network;
}

bool same_value(const Field& a, const Field& b) { return a.json() == b.json(); }

}  // namespace

const std::vector<OptionFollowers>& option_followers() {
  static const std::vector<OptionFollowers> all = {
      {"objective", {"zero_snr", "weighting", "time_sampling", "learned_variance"}},
      {"zero_snr", {"weighting"}},
      {"weighting", {"zero_snr", "min_snr_gamma", "sigmoid_bias"}},
      {"timesteps", {"sample_steps"}},
      {"condition", {"pairing"}},
      {"fit", {"crop"}},
      {"optimizer",
       {"lr", "weight_decay", "beta1", "beta2", "adam_epsilon", "momentum", "precondition_every",
        "precondition_limit"}},
      {"lr_schedule", {"lr_decay_start"}},
      {"dim_mults", {"attention_levels"}}};
  return all;
}

std::string default_training_recipe() { return training_recipes().front().name; }

TrainOptions recipe_options(const std::string& name) {
  TrainOptions options;
  read_options(JsonObject::parse(find_training_recipe(name).values, "recipe " + name), options);
  options.recipe = name;
  return options;
}

std::vector<FollowedChoice> follow_choices(TrainOptions& options, const TrainOptions& recipe,
                                           const std::function<bool(const Field&)>& given) {
  std::vector<FollowedChoice> changed;
  const TrainOptions tutorial;
  const Fields now = fields_of(options), before = fields_of(recipe), plain = fields_of(tutorial);
  const auto set = [&](const char* choice, const Field& field, const Field& wanted) {
    if (given(field) || same_value(field, wanted)) return;
    field.read(wanted.json());
    changed.push_back({.option = field.name(), .choice = choice});
  };
  for (const OptionFollowers& choice : option_followers()) {
    if (same_value(*now.find(choice.option), *before.find(choice.option))) continue;
    for (const char* follower : choice.followers) {
      // Not every family of networks has each option.
      if (const Field* field = now.find(follower))
        set(choice.option, *field, *plain.find(follower));
    }
  }
  if (options.network.family() == recipe.network.family()) return changed;
  const NetworkConfig defaults = defaults_of(recipe.network.family());
  const Fields usual = fields_of(defaults);
  for (const Field& wanted : fields_of(recipe.network)) {
    const Field* field = now.find(wanted.name());
    if (wanted.is_selector() || same_value(wanted, *usual.find(wanted.name()))) continue;
    // Of another type: a list with a number for each level instead of one number.
    if (field == nullptr || field->value().index() != wanted.value().index()) continue;
    if (!given(*field)) field->read(wanted.json());
  }
  return changed;
}

}  // namespace ddpm
