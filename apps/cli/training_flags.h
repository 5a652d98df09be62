// The flags that describe a training, for the commands that take them: its options, a file of
// options, a recipe and a size of the network.
#pragma once

#include <string>
#include <string_view>

#include "apps/cli/flags.h"
#include "ddpm/base/json.h"
#include "ddpm/engine/train_options.h"

namespace ddpm::cli {

// --model-size.
struct ModelSizeFlag {
  std::string name;

  void declare(Flags& flags);
  // Gives the network the size, if there is one. Flags such as --dim win over it. Says so if the
  // size gets fewer levels because of the pictures.
  void apply(const Flags& flags, NetworkConfig& network, const std::string& image_size) const;
};

struct TrainingFlags {
  // Their values before apply...() are the defaults in the help.
  TrainOptions options;
  ModelSizeFlag model_size;
  // A JSON file.
  std::string config;

  TrainingFlags();
  // --config.
  void declare_config(Flags& flags, const std::string& help);
  // All others, and the lists of recipes and sizes.
  void declare(Flags& flags);
  // Sets the options of a new training: the recipe, then the file, then the flags. Levels of the
  // network that the user has not chosen are left out where the pictures allow no more. Throws
  // UsageError if the recipe of the flag and that of the file contradict each other.
  void apply_to_new(const Flags& flags);
  // Whether the user has chosen this field of a new training, by the file or by a flag.
  bool chosen(const Flags& flags, std::string_view field) const;
  // Sets those of a run that goes on: its own options, then the file, then the flags.
  void apply_to_run(const Flags& flags, const TrainOptions& of_run);

 private:
  // Whether the user has chosen how many levels the network has, directly or by a list with a value
  // for each.
  bool levels_are_chosen(const Flags& flags) const;

  JsonObject file_;
};

}  // namespace ddpm::cli
