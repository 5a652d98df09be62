// A run on several ranks. Rank 0 makes a Run and uses it as if it were alone. All other ranks call
// serve_run(). Only rank 0 reads and writes the run's directory.
#pragma once

#include <functional>

#include "ddpm/comm/communicator.h"
#include "ddpm/engine/run/run.h"

namespace ddpm {

// For rank 1, 2, ...: takes part in the run that rank 0 creates or resumes, until rank 0 destroys
// it. `pictures` is a loader like that of rank 0. `started` receives the options of the run before
// its first step. Throws Error if a rank fails before that.
void serve_run(Communicator& ranks, const PictureLoader& pictures,
               const std::function<void(const TrainOptions& options)>& started = {});

}  // namespace ddpm
