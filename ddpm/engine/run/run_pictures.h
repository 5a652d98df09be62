// The pictures of a run: those that it learns from, and those that it holds out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/run/run.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

struct RunPictures {
  // With the condition that the options ask for.
  std::shared_ptr<const Pictures> training;
  // Null without DataOptions::validation.
  std::shared_ptr<const Pictures> held_out;
  // Where those to learn from are among all pictures. Empty without DataOptions::validation.
  std::vector<int64_t> training_numbers;
  // Of those held out (picture_hashes()).
  std::vector<uint64_t> hashes;
};

// Holds pictures out, and adds the condition to both parts. Throws as hold_out(), and UsageError if
// the options want pairs and the pictures come without conditions.
RunPictures run_pictures(std::shared_ptr<const Pictures> pictures, const DataOptions& options);

// Loads the pictures of a run. Throws as load_source() does, and UsageError if the run holds none
// out, if they came from a program, or if they are not those that it was trained on.
RunPictures pictures_of_run(const std::string& run, SourceEvents events);

}  // namespace ddpm
