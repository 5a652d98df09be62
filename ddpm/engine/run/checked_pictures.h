// Checks of what an implementation of Pictures gives to a run.
#pragma once

#include "ddpm/data/pictures.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

// Throws UsageError if the pictures do not have the size and channels of the options, or channels
// that no picture has.
void check_pictures(const DataOptions& options, const Pictures& pictures);

// The batch of the plan. Throws Error if it does not have the type and the shapes that Pictures
// promises, or if a label is NaN or infinity. Images and conditions may hold them: the step is then
// skipped.
Batch checked_batch(const Pictures& pictures, const BatchPlan& plan);

}  // namespace ddpm
