// Options get into a recipe by their own lists of fields, so that a new one is in it at once.
#include "ddpm/engine/recipe.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/hash.h"
#include "ddpm/base/options.h"
#include "ddpm/base/text.h"
#include "ddpm/base/version.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

constexpr char kKind[] = "kind", kPicture[] = "picture", kGrid[] = "grid";
constexpr char kVersion[] = "version", kDevice[] = "device";
constexpr char kHeight[] = "height", kWidth[] = "width";
constexpr char kIndex[] = "index", kClass[] = "class", kClassName[] = "class_name";
constexpr char kClasses[] = "classes", kColumns[] = "columns", kScale[] = "scale";
constexpr char kCondition[] = "condition", kNoise[] = "noise";
constexpr char kModel[] = "model", kGuide[] = "guide";

// Of GenerateOptions: they decide which pictures are made, and not how one looks.
bool is_of_the_call(const std::string& field) { return field == "n" || field == "batch"; }

// Members "model_hash", "model_path", ...
void write_model(const std::string& before, const RecipeModel& model, JsonObject& object) {
  object.set(before + "_hash", json_value::write(model.hash));
  object.set(before + "_path", json_value::write(model.path));
  object.set(before + "_weights", json_value::write(model.weights));
  if (!model.given.members().empty()) object.set(before + "_given", model.given.dump(-1));
}

// Reads members, and knows at the end which nobody has read.
class Members {
 public:
  Members(const JsonObject& object, std::string what) : what_(std::move(what)) {
    for (const auto& [name, value] : object.members()) left_[name] = value;
  }
  template <class T>
  void optional(const std::string& name, T& value) {
    const auto found = left_.find(name);
    if (found == left_.end()) return;
    json_value::read(found->second, name, value);
    left_.erase(found);
  }
  template <class T>
  void read(const std::string& name, T& value) {
    if (!left_.contains(name)) fail("recipe", fmt::format("it has no {}", name));
    optional(name, value);
  }
  // The JSON text; empty if there is none.
  std::string take(const std::string& name) {
    const auto found = left_.find(name);
    if (found == left_.end()) return "";
    std::string text = std::move(found->second);
    left_.erase(found);
    return text;
  }
  bool has(const std::string& name) const { return left_.contains(name); }
  const std::string& what() const { return what_; }
  void require_all_read() const {
    if (left_.empty()) return;
    fail("recipe", fmt::format("this version knows no {}", printable(left_.begin()->first)));
  }

 private:
  std::string what_;
  std::map<std::string, std::string> left_;
};

RecipeModel read_model(Members& members, const std::string& before) {
  RecipeModel model;
  members.read(before + "_hash", model.hash);
  members.read(before + "_path", model.path);
  members.read(before + "_weights", model.weights);
  if (const std::string given = members.take(before + "_given"); !given.empty())
    model.given = JsonObject::parse(given, members.what());
  return model;
}

void read_options_of(Members& members, GenerateOptions& options) {
  members.read(kHeight, options.height);
  members.read(kWidth, options.width);
  JsonObject fields;
  for (const Field& field : fields_of(options)) {
    if (is_of_the_call(field.name())) continue;
    if (!members.has(field.name())) fail("recipe", fmt::format("it has no {}", field.name()));
    fields.set(field.name(), members.take(field.name()));
  }
  read_options(fields, options);
}

void read_picture(Members& members, Recipe& recipe) {
  recipe.options.count = 1;
  members.read(kIndex, recipe.options.first);
  if (!members.has(kClass)) return;
  int64_t label = -1;
  members.read(kClass, label);
  recipe.options.labels = {label};
  members.take(kClassName);
}

void read_grid(Members& members, Recipe& recipe) {
  members.read("n", recipe.options.count);
  members.optional(kClasses, recipe.options.labels);
  members.read(kColumns, recipe.columns);
  members.read(kScale, recipe.scale);
}

}  // namespace

std::string hash_of_tensor(const Tensor& values) {
  return hash_hex(std::string_view(reinterpret_cast<const char*>(values.f32()),
                                   static_cast<size_t>(values.bytes())));
}

RecipeModel recipe_model(const Model& model, const std::string& weights, const JsonObject& given) {
  return {.hash = hash_of_file(model.path), .path = model.path, .weights = weights, .given = given};
}

RecipeWriter::RecipeWriter(const Model& model, const RecipeModel& written, const RecipeModel& guide,
                           const GenerateOptions& options)
    : config_(model.config), options_(options) {
  common_.set(kVersion, json_value::write(std::string(version())));
  write_model(kModel, written, common_);
  common_.set(kDevice, json_value::write(std::string(name_of(model.network->device()))));
  common_.set(kHeight, json_value::write(options.height));
  common_.set(kWidth, json_value::write(options.width));
  for (const Field& field : fields_of(options))
    if (!is_of_the_call(field.name())) common_.set(field.name(), field.json());
  if (!guide.hash.empty()) write_model(kGuide, guide, common_);
}

JsonObject RecipeWriter::picture(int64_t k) const {
  JsonObject recipe = common_;
  recipe.set(kKind, json_value::write(std::string(kPicture)));
  const int64_t j = k % options_.count;
  const int64_t classes = config_.network.classes(), index = options_.first + j;
  recipe.set(kIndex, json_value::write(index));
  if (classes > 0) {
    const int64_t label = options_.labels.empty()
                              ? index % classes
                              : options_.labels[static_cast<size_t>(k / options_.count)];
    recipe.set(kClass, json_value::write(label));
    recipe.set(kClassName, json_value::write(config_.class_name(label)));
  }
  if (const Tensor& condition = options_.condition; condition.defined()) {
    const int64_t row = j % condition.size(0);
    recipe.set(kCondition, json_value::write(hash_of_tensor(condition.rows(row, row + 1))));
  }
  return recipe;
}

JsonObject RecipeWriter::grid(int64_t columns, int64_t scale) const {
  JsonObject recipe = common_;
  recipe.set(kKind, json_value::write(std::string(kGrid)));
  recipe.set("n", json_value::write(options_.count));
  if (!options_.labels.empty()) recipe.set(kClasses, json_value::write(options_.labels));
  recipe.set(kColumns, json_value::write(columns));
  recipe.set(kScale, json_value::write(scale));
  if (options_.condition.defined())
    recipe.set(kCondition, json_value::write(hash_of_tensor(options_.condition)));
  return recipe;
}

bool same_recipe(const JsonObject& a, const JsonObject& b) {
  const auto sorted = [](const JsonObject& object) {
    std::map<std::string, std::string> members(object.members().begin(), object.members().end());
    for (const char* model : {kModel, kGuide}) members.erase(std::string(model) + "_path");
    return members;
  };
  return sorted(a) == sorted(b);
}

Recipe read_recipe(const JsonObject& object, const std::string& what) {
  Recipe recipe;
  try {
    Members members(object, what);
    std::string kind;
    members.read(kKind, kind);
    recipe.is_grid = kind == kGrid;
    if (!recipe.is_grid && kind != kPicture)
      fail("recipe",
           fmt::format("its kind is '{}', not {} or {}", printable(kind), kPicture, kGrid));
    members.read(kVersion, recipe.version);
    recipe.model = read_model(members, kModel);
    if (members.has(std::string(kGuide) + "_hash")) recipe.guide = read_model(members, kGuide);
    members.read(kDevice, recipe.device);
    members.optional(kCondition, recipe.condition);
    members.optional(kNoise, recipe.noise);
    read_options_of(members, recipe.options);
    if (recipe.is_grid)
      read_grid(members, recipe);
    else
      read_picture(members, recipe);
    members.require_all_read();
    recipe.options.check();
  } catch (const SystemError&) {
    throw;
  } catch (const Error& error) {
    // Also a UsageError becomes an Error: the file is wrong, not the request.
    fail("recipe", fmt::format("{}: what it says of how it was made cannot be used: {}", what,
                               without_place(error.what())));
  }
  return recipe;
}

Recipe parse_recipe(const std::string& json, const std::string& what) {
  return read_recipe(JsonObject::parse(json, what), what);
}

}  // namespace ddpm
