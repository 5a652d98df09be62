// Checks that all families share: widths, and the tensors of a state dict.
#pragma once

#include <cstdint>
#include <string>

#include "ddpm/nn/network.h"

namespace ddpm {

// Limits of every width, so that products of widths do not overflow, and of the number of levels.
inline constexpr int64_t kMostChannels = 1 << 20;
inline constexpr int64_t kMostLevels = 16;

// Throws UsageError unless the width lies between 1 and kMostChannels.
void check_width(const char* name, int64_t width);

// The shape of a tensor of a state dict. Throws Error if it is absent or of another rank;
// `whose` names the network that has it.
const Shape& shape_of(const StateDictShapes& shapes, const std::string& name, int rank,
                      const char* whose);

}  // namespace ddpm
