// Reads the options of this family's network from the names and shapes of a state dict.
#pragma once

#include "ddpm/nn/network.h"

namespace ddpm::lucidrains {

// As NetworkFamily::recognise. No shape tells theta: it is taken to be 10000, unless given.
// Frequencies of the time embedding are taken to be learnt. If the input has as many channels as
// the output, the network is taken to have no earlier estimate.
std::optional<NetworkConfig> recognise(const StateDictShapes& shapes, const JsonObject& given);

}  // namespace ddpm::lucidrains
