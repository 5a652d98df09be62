// How pictures were made: everything that decides their bits, as one JSON object. The program
// writes it into its PNG files, and makes the same pictures again from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/base/json.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"

namespace ddpm {

// A model of a recipe.
struct RecipeModel {
  // XXH3-128 of its file, as 32 hexadecimal digits.
  std::string hash;
  // Where the file was. This decides nothing.
  std::string path;
  // "average" or "raw".
  std::string weights = "average";
  // The values that were given because its file does not hold them; see load_model().
  JsonObject given = {};
};
// Reads the file to hash it. `path` is as model.path.
RecipeModel recipe_model(const Model& model, const std::string& weights, const JsonObject& given);

// Writes the recipes of the pictures of one call of generate().
class RecipeWriter {
 public:
  // The options must be complete: height, width and the number of evaluations are not 0. guide:
  // empty hash without one.
  RecipeWriter(const Model& model, const RecipeModel& written, const RecipeModel& guide,
               const GenerateOptions& options);
  // Adds a member to every recipe.
  void add(const std::string& name, const std::string& json) { common_.set(name, json); }

  // What the recipes of all images and grids have in common.
  const JsonObject& common() const { return common_; }
  // Of image k of all.
  JsonObject picture(int64_t k) const;
  // Of a grid of all.
  JsonObject grid(int64_t columns, int64_t scale) const;

 private:
  const ModelConfig& config_;
  const GenerateOptions& options_;
  JsonObject common_;
};

// True if both make the same bits: only where the model's file was is not compared.
bool same_recipe(const JsonObject& a, const JsonObject& b);

// A recipe that was read back.
struct Recipe {
  // A grid of `options.count` pictures (of each class), or else one picture.
  bool is_grid = false;
  RecipeModel model, guide;
  // The version of the program that made it.
  std::string version;
  // "cpu" or "ref".
  std::string device;
  // Complete but for conditions, the guide and the size of batches.
  GenerateOptions options;
  // The hash of the conditions, see hash_of_tensor(). Empty if there are none.
  std::string condition;
  // The hash of recorded noise. Empty if the noise comes from the seed.
  std::string noise;
  int64_t columns = 0;
  int64_t scale = 0;
};
// Throws Error if a member is missing, damaged or unknown, naming `what` (a path).
Recipe read_recipe(const JsonObject& object, const std::string& what);
// The same from JSON text.
Recipe parse_recipe(const std::string& json, const std::string& what);

// The checksum of floats [I, H, W, C], such as a condition.
std::string hash_of_tensor(const Tensor& values);

}  // namespace ddpm
