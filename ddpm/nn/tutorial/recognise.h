// Reads the options of the tutorial's network off the names and shapes of a state dict.
#pragma once

#include "ddpm/nn/network.h"

namespace ddpm::tutorial {

// As NetworkFamily::recognise. No shape shows the groups and heads: both are 4 unless given.
std::optional<NetworkConfig> recognise(const StateDictShapes& shapes, const JsonObject& given);

}  // namespace ddpm::tutorial
