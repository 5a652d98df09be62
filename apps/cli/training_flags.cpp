#include "apps/cli/training_flags.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "apps/cli/common.h"
#include "apps/cli/flag_values.h"
#include "apps/cli/output.h"
#include "apps/cli/suggestions.h"
#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/named_rows.h"
#include "ddpm/data/pixels.h"
#include "ddpm/engine/training_recipe.h"
#include "ddpm/engine/training_recipe_table.h"
#include "ddpm/nn/network_size.h"

namespace ddpm::cli {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

Rows recipe_rows() {
  Rows rows;
  for (const TrainingRecipe& recipe : training_recipes())
    rows.emplace_back(recipe.name, recipe.help);
  return rows;
}

Rows size_rows() {
  Rows rows;
  for (const NetworkSize& size : network_sizes()) {
    const std::string time =
        size.time == 1 ? "" : fmt::format(", {} of the time of base", size.time);
    rows.emplace_back(size.name,
                      fmt::format("dim {}, dim-mults {}: {} parameters{}", size.dim,
                                  fmt::join(size.dim_mults, ","),
                                  short_number(static_cast<double>(size.parameters)), time));
  }
  return rows;
}

// Does what uses the values in a file of the user's. Errors about them get the file's name.
template <class Work>
auto using_values_of(const std::string& path, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    fail_usage("train", fmt::format("{}: {}", path, without_place(error.what())));
  }
}

JsonObject read_config(const std::string& path) {
  return path.empty() ? JsonObject() : JsonObject::parse(read_file(path, kMostJsonBytes), path);
}

// Sets the options that the file names. The keys are those of config.json, so the file of one run
// can start another.
void take_config(const JsonObject& file, const std::string& path, TrainOptions& options) {
  using_values_of(path, [&] { read_options(file, options); });
  // The family of the network decides which options exist.
  const Fields fields = fields_of(options);
  std::vector<std::string> known;
  for (const Field& field : fields) known.push_back(field.name());
  for (const auto& [name, value] : file.members()) {
    if (tells_of_run(name) || fields.find(name) != nullptr) continue;
    fail_usage("train", unknown(fmt::format("{} sets '{}', which is not an option", path, name),
                                nearest(name, known), "see ddpm train --help"));
  }
}

// The values that the file has given, and no flag after it.
void check_config(const JsonObject& file, const std::string& path, const TrainOptions& options,
                  const Flags& flags) {
  const Fields fields = fields_of(options);
  for (const auto& [name, value] : file.members()) {
    const Field* field = fields.find(name);
    if (field == nullptr || flags.given(flag_name(field->name()))) continue;
    using_values_of(path, [&] { field->check("train"); });
  }
}

// The recipe that the options in a file come from. Nothing if the file leaves it open. A run of a
// version without recipes began with the tutorial's values.
std::optional<std::string> recipe_of(const JsonObject& file, const std::string& path) {
  if (const std::string* json = file.find("recipe")) {
    return using_values_of(path, [&] {
      std::string name;
      json_value::read(*json, "recipe", name);
      return std::string(find_training_recipe(name).name);
    });
  }
  for (const auto& [key, json] : file.members()) {
    if (tells_of_run(key)) return TrainOptions().recipe;
  }
  return std::nullopt;
}

std::string text_in(const Fields& fields, const std::string& name) {
  const Field& field = *fields.find(name);
  const std::string text =
      std::visit([](const auto* value) { return text_of(*value); }, field.value());
  return text.empty() ? field.default_text() : text;
}

// A flag may have given the network other levels than its size has.
void fit_attentions(NetworkConfig& network) {
  const Fields fields = fields_of(network);
  const Field* attentions = fields.find("attention_levels");
  if (attentions == nullptr) return;
  auto& each = *std::get<std::vector<int64_t>*>(attentions->value());
  const auto& levels = *std::get<std::vector<int64_t>*>(fields.find("dim_mults")->value());
  if (each.size() > 1) each.resize(levels.size(), each.back());
}

void say_left_out(const std::string& whose, ImageSize size, int64_t left_out,
                  const std::string& levels) {
  say(fmt::format(
      "{}: pictures of {}x{} cannot be halved at all of its levels, so the network has {} fewer: "
      "dim_mults {}\n",
      whose, size.height, size.width, left_out, levels));
}

}  // namespace

void ModelSizeFlag::declare(Flags& flags) {
  flags.add("model-size", name,
            "gives dim, dim-mults and the attentions, of which each flag wins over it",
            bars(names_of(network_sizes())));
}

void ModelSizeFlag::apply(const Flags& flags, NetworkConfig& network,
                          const std::string& image_size) const {
  if (!flags.given("model-size")) return;
  const ImageSize size = parse_image_size(image_size);
  const int64_t left_out = set_network_size(network, name, size.height, size.width);
  const std::string levels = fields_of(network).find("dim_mults")->json();
  flags.apply();
  if (!flags.given("attention-levels")) fit_attentions(network);
  if (left_out > 0 && !flags.given("dim-mults"))
    say_left_out("--model-size " + name, size, left_out, levels);
}

TrainingFlags::TrainingFlags() : options(recipe_options(default_training_recipe())) {}

void TrainingFlags::declare_config(Flags& flags, const std::string& help) {
  flags.add("config", config, help, "FILE");
}

void TrainingFlags::declare(Flags& flags) {
  flags.add_fields(options);
  flags.group("The network");
  model_size.declare(flags);
  flags.list("Recipes", recipe_rows());
  flags.list("Model sizes", size_rows());
}

void TrainingFlags::apply_to_new(const Flags& flags) {
  file_ = read_config(config);
  const std::optional<std::string> of_file = recipe_of(file_, config);
  std::string recipe = of_file.value_or(default_training_recipe());
  if (flags.given("recipe")) {
    recipe = options.recipe;
    if (of_file && recipe != *of_file) {
      fail_usage("train", fmt::format("--recipe is {}, but the options in {} belong to the recipe "
                                      "{}; leave one of them out",
                                      recipe, config, *of_file));
    }
  }
  options = recipe_options(recipe);
  take_config(file_, config, options);
  flags.apply();
  check_config(file_, config, options, flags);
  // The size of the network gives its attentions.
  const auto given = [&](const Field& field) {
    return chosen(flags, field.name()) ||
           (flags.given("model-size") && field.name() == "attention_levels");
  };
  for (const FollowedChoice& followed : follow_choices(options, recipe_options(recipe), given)) {
    const Fields fields = fields_of(options);
    say(fmt::format("recipe {}: with {} {}, {} is {}\n", recipe, flag_name(followed.choice),
                    text_in(fields, followed.choice), flag_name(followed.option),
                    text_in(fields, followed.option)));
  }
  model_size.apply(flags, options.network, options.data.size);
  if (flags.given("model-size") || levels_are_chosen(flags)) return;
  const ImageSize size = parse_image_size(options.data.size);
  const int64_t left_out = leave_out_levels(options.network, size.height, size.width);
  if (left_out == 0) return;
  say_left_out("recipe " + recipe, size, left_out,
               fields_of(options.network).find("dim_mults")->json());
}

bool TrainingFlags::levels_are_chosen(const Flags& flags) const {
  if (chosen(flags, "dim_mults")) return true;
  const Fields fields = fields_of(options.network);
  const Field* attentions = fields.find("attention_levels");
  return attentions != nullptr && chosen(flags, "attention_levels") &&
         std::get<std::vector<int64_t>*>(attentions->value())->size() > 1;
}

bool TrainingFlags::chosen(const Flags& flags, std::string_view field) const {
  const Fields fields = fields_of(options);
  const Field* found = fields.find(field);
  if (found == nullptr) return false;
  if (flags.given(flag_name(found->name()))) return true;
  return std::ranges::any_of(file_.members(),
                             [&](const auto& member) { return found->is_called(member.first); });
}

void TrainingFlags::apply_to_run(const Flags& flags, const TrainOptions& of_run) {
  options = of_run;
  const JsonObject file = read_config(config);
  take_config(file, config, options);
  flags.apply();
  check_config(file, config, options, flags);
  model_size.apply(flags, options.network, options.data.size);
}

}  // namespace ddpm::cli
