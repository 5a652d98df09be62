// Saves memory at the cost of time: the tape does not keep the intermediate values of a part of a
// network (Chen et al. 2016, arXiv:1604.06174).
#pragma once

#include <functional>

#include "ddpm/autograd/variable.h"

namespace ddpm {

// Calls function() and records it so that only the result and the captures of `function` stay in
// memory. When the gradient of the result arrives, function() is called again and now keeps what
// its backward pass needs. Outputs and gradients have the same bits as without recompute(). Both
// calls must compute the same values. `function` should hold the variables of all parameters that
// it uses: otherwise nothing shows before the second call that they will still get gradients.
Variable recompute(std::function<Variable()> function);

}  // namespace ddpm
