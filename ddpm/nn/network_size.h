// Networks of usual sizes, under names: the widths and levels of `ddpm train --model-size`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/nn/network_config.h"

namespace ddpm {

struct NetworkSize {
  const char* name;
  int64_t dim;
  std::vector<int64_t> dim_mults;
  // As tutorial::UnetConfig::attention_levels. Other families keep their own.
  std::vector<int64_t> attention_levels;
  // The parameters of the tutorial's network of this size, for pictures of three channels.
  int64_t parameters;
  // The time of its training step on pictures of 32x32, as a multiple of that of the size "base".
  double time;
};

// From the smallest to the largest.
const std::vector<NetworkSize>& network_sizes();

// Whether the family has options for a size.
bool has_sizes(const NetworkConfig& network);

// Gives a network of any family the size of this name: dim and dim_mults, and the family's defaults
// for its attentions (heads, dim_head and, if it has it, full_attn). In the tutorial's network also
// the levels that have an attention. Other options stay. Then it does leave_out_levels(). Throws
// UsageError for an unknown name, naming the choices, and for a family without sizes.
int64_t set_network_size(NetworkConfig& network, const std::string& name, int64_t height,
                         int64_t width);

// Each level but the last halves the sides of the images. If the sides cannot be halved so often,
// the last levels are left out, in the tutorial's network with what says whether they have an
// attention. Returns how many were left out. A family without dim_mults stays as it is.
int64_t leave_out_levels(NetworkConfig& network, int64_t height, int64_t width);

}  // namespace ddpm
