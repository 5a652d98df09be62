// The state of a training run in one file, so that a resumed run goes on as if it had never
// stopped: weights, their average, the optimizer's moments and step, and the options with the seed.
// Randomness is counter-based, so seed and step are its whole state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/engine/model.h"
#include "ddpm/optim/adam.h"

namespace ddpm {

// RUN/checkpoints/step-00001000.safetensors
std::string checkpoint_path(const std::string& run, int64_t step);
// The newest checkpoint of a run directory by its step.
std::optional<std::string> newest_checkpoint(const std::string& run);
// Removes all but the `keep` newest.
void prune_checkpoints(const std::string& run, int64_t keep);

// Atomic: an older file of the name stays whole until the new one is complete.
void save_checkpoint(const std::string& path, const ModelConfig& config, DiffusionUnet& network,
                     const Adam& adam);
// Reads a checkpoint of this network into it and the optimizer; throws Error where it does not fit.
void load_checkpoint(const std::string& path, DiffusionUnet& network, Adam& adam);

}  // namespace ddpm
