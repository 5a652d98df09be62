// What is checked before a run begins or goes on. Private to engine/run/.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/trainer.h"

namespace ddpm {

// Throws SystemError where a file that is written only after a while could not be.
void require_writable(const std::string& run);

// Throws UsageError where a new run would overwrite another, or files that are no run's.
void check_is_new(const std::string& run);

// For a run without checkpoints, which begins at step 0: throws Error where that would destroy one
// that has lost them.
void check_never_saved(const std::string& run, const RunConfig& config);

// Takes the newest checkpoint that is sound and this run's; each that is not is named in a warning.
// Returns its step, -1 where the run has no checkpoints; throws Error where it has some, but none
// that can be continued from.
int64_t load_newest_checkpoint(const std::string& run, const RunConfig& config, Trainer& trainer,
                               const Warn& warn);

}  // namespace ddpm
