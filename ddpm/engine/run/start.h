// The checks before a run starts or continues. Private to engine/run/.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/engine/run/directory.h"
#include "ddpm/engine/trainer.h"

namespace ddpm {

// Throws SystemError if one of the files that are written later cannot be written.
void require_writable(const std::string& run);

// Throws UsageError if a new run would overwrite another run, or files that do not belong to a run.
void check_is_new(const std::string& run);

// RUN/checkpoints/not-saved-yet: an empty file that says that no save was possible so far, because
// the disk was full. The first save removes it.
std::string not_saved_mark(const std::string& run);

// For a run without checkpoints, which starts at step 0. Throws Error if the run had checkpoints
// and has lost them, because starting again would destroy its other files.
void check_never_saved(const std::string& run, const RunConfig& config);

// Loads the newest checkpoint that is sound and belongs to this run, of those whose step is a
// multiple of `every`. Warns about each newer one. Returns its step, or -1 if the run has no
// checkpoints. Throws Error if it has some but cannot continue from any of them.
int64_t load_newest_checkpoint(const std::string& run, const RunConfig& config, Trainer& trainer,
                               const Warn& warn, int64_t every = 1);

}  // namespace ddpm
