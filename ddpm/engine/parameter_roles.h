// What the parameters of a network are to an optimizer. Private to engine/.
#pragma once

#include <vector>

#include "ddpm/nn/module.h"
#include "ddpm/optim/optimizer.h"

namespace ddpm {

// All parameters in the network's order. Weights of convolutions and linear layers are kInner.
// Those of the layers that come first and last in the network's order are kOuter: they read and
// draw the pictures. All other parameters are kOther.
std::vector<OptimizedParameter> optimized_parameters(Module& network);

}  // namespace ddpm
