// Checks that the families share: widths, sides of images, tensors of a state dict.
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

// Throws UsageError for sides that are too long or that cannot be halved at all levels but the
// last, naming sides that work.
void check_sides(int64_t height, int64_t width, int64_t levels);

// The shape of a tensor of a state dict. Throws Error if it is absent or of another rank;
// `whose` names the network that has it.
const Shape& shape_of(const StateDictShapes& shapes, const std::string& name, int rank,
                      const char* whose);

// A width found in a state dict, as a multiple of dim. Throws Error if it is not one; `path` names
// the tensor.
int64_t multiple_of_dim(const std::string& path, int64_t width, int64_t dim);

}  // namespace ddpm
