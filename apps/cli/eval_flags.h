// The flags of ddpm eval, and which of them go together.
#pragma once

#include <cstdint>
#include <string>

#include "apps/cli/common.h"
#include "apps/cli/eval_sets.h"
#include "apps/cli/flags.h"
#include "apps/cli/guide_flags.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"

namespace ddpm::cli {

struct EvalFlags {
  ModelFlags model;
  GuideFlags guide;
  Machine machine;
  GenerateOptions generate = {.count = 5000};
  SetFlags sets;
  bool json = false;
  std::string features = "random", cache, save_features, neighbours;
  int64_t real = 50'000, bits = 0, bits_steps = 20;

  // Declares all but the list of samplers.
  void declare(Flags& flags);
};

// These throw UsageError, before any work. Flags that were given but change nothing are refused.

// For values out of range, for flags that need another flag, and, where MODEL names pictures, for
// those that need a model.
void check_flags(const EvalFlags& request, const Flags& flags);
// For flags that do not fit the model.
void check_flags_of_model(const EvalFlags& request, const Flags& flags, const ModelConfig& config);
// If an output is one of the files that are read, or lies among the pictures. Null for no model and
// no guide.
void refuse_to_overwrite(const EvalFlags& request, const Model* model, const Model* guide);

}  // namespace ddpm::cli
