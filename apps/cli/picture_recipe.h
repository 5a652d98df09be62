// The recipes in PNG files: how they are read, written and compared on the command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/outputs.h"
#include "apps/cli/sample_flags.h"
#include "ddpm/engine/recipe.h"

namespace ddpm::cli {

// A picture as PNG, with its recipe in the text chunk "ddpm".
std::string png_with_recipe(const Tensor& picture, const JsonObject& recipe);

// The recipe in a PNG file; nothing if it has none. Throws UsageError if the file is no PNG, or the
// text is damaged.
std::optional<JsonObject> recipe_in(const std::string& path);

// Which pictures of the folder are finished: their files are whole and hold the same recipe. Empty
// files, and damaged ones of the same recipe, are unfinished. Throws UsageError naming the first
// file that something else has made, or link that leads to no file, unless these may be
// overwritten.
std::vector<bool> find_finished(const PictureFolder& folder, int64_t count,
                                const RecipeWriter& recipes, bool overwrite);

// --like: reads the recipe, and sets the flags to it. Throws UsageError if the file has none, if
// other flags ask for something else, and if the guide of the recipe is not found.
Recipe take_like(SampleFlags& request, const Flags& flags);
// Throws UsageError unless a model is the one of the recipe. flag: how users give it.
void require_same_model(const RecipeModel& recipe, const RecipeModel& model, const char* flag,
                        const std::string& like);

}  // namespace ddpm::cli
