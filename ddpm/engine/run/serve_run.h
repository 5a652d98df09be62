// A run on several ranks. Rank 0 makes a Run and uses it as if it were alone. All other ranks call
// serve_run(). Only rank 0 writes files.
#pragma once

#include "ddpm/comm/communicator.h"
#include "ddpm/engine/run/run.h"

namespace ddpm {

// For rank 1, 2, ...: takes part in the run that rank 0 creates or resumes, until rank 0 destroys
// it. `pictures` must give the same pictures on every rank. Throws Error if that fails on this rank;
// an Error about the pictures is thrown on rank 0 instead.
void serve_run(Communicator& ranks, const PictureLoader& pictures);

}  // namespace ddpm
