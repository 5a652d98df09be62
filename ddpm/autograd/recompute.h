// Time for memory: a part of a network whose intermediate values the tape does not keep (Chen et
// al. 2016, arXiv:1604.06174).
#pragma once

#include <functional>

#include "ddpm/autograd/variable.h"

namespace ddpm {

// function(), recorded so that only the result and what `function` holds stay in memory. When the
// gradient of the result arrives, function() is called again, this time keeping what its backward
// pass needs. Outputs and gradients have the same bits as without. Both calls must compute the
// same.
Variable recompute(std::function<Variable()> function);

}  // namespace ddpm
