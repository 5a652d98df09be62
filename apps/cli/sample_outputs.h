// The picture files of ddpm sample. Each picture is written as soon as it is finished, so that
// memory does not grow with their number and an interrupted command keeps them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/inputs.h"
#include "apps/cli/outputs.h"
#include "apps/cli/sample_layout.h"
#include "apps/cli/tensor_door.h"
#include "apps/cli/trajectory.h"
#include "ddpm/engine/recipe.h"

namespace ddpm::cli {

class SampleOutputs {
 public:
  // Opens all files, before the first step. The request must outlive this object.
  SampleOutputs(const SampleFlags& request, const SampleLayout& layout, const Inputs* inputs);

  // What is written into the files. Finds the pictures of --each that are finished. `alone`: --out
  // is one picture and no grid. Throws UsageError if other files are in the way.
  void prepare(const RecipeWriter& recipes, bool alone);
  // The pictures that must be drawn, ascending.
  std::vector<int64_t> missing() const;
  // Draws the inputs [I, H, W, C], bytes, and the finished pictures into the grid.
  void begin_grid(const Tensor& conditions);

  // Whether it shows what add() is told of steps before the last.
  bool shows_states() const { return trajectory_.has_value() || request_.every_step; }
  void add(const GenerateProgress& now);
  void add(const GeneratedBatch& batch);
  // Writes the files of all pictures together. If a file could not be written, the others are still
  // written before it throws.
  void finish();

 private:
  // Runs the work, and keeps the message if it fails.
  bool attempt(const std::function<void()>& work);
  void write_each(int64_t k, const Tensor& picture);
  void put(int64_t k, const Tensor& picture);

  const SampleFlags& request_;
  const SampleLayout layout_;
  PictureFolder each_;
  std::unique_ptr<OutputFile> out_, film_;
  std::optional<TensorOutput> tensors_;
  std::optional<Trajectory> trajectory_;
  std::optional<Grid> grid_;
  const RecipeWriter* recipes_ = nullptr;
  JsonObject recipe_of_out_;
  // Of the pictures of --each.
  std::vector<bool> finished_;
  int64_t written_ = 0;
  bool each_failed_ = false;
  // The first failure.
  std::string failure_;
};

}  // namespace ddpm::cli
