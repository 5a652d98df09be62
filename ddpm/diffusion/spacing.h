// The levels at which a sampler evaluates the network.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/level.h"

namespace ddpm {

class Process;

// What a spacing needs besides its name.
struct SpacingRequest {
  // The number of levels, the clean image not counted.
  int64_t count = 1;
  // Whether the spacings of time steps end at the first time step, which is almost clean. Without
  // it they are those for count + 1 levels, less the last.
  bool with_first = true;
  // For "tuned": the numbers t that the network gets, count of them.
  const std::vector<double>* tuned = nullptr;
};

// One row of the table of spacings. Help and error messages also use it.
struct SpacingKind {
  const char* name;
  const char* help;
  // Whether it counts time steps, which EDM does not have.
  bool of_time_steps;
  // Whether it leaves the first time step out without SpacingRequest::with_first, so that it has
  // one level less.
  bool skips_first;
  std::vector<NoiseLevel> (*levels)(const Process& process, const SpacingRequest& request);
};
const std::vector<SpacingKind>& spacing_kinds();
std::vector<std::string> spacing_names();

// Whether the process has the levels of the spacing, and as many as the request asks for.
bool has_room(const Process& process, const SpacingKind& kind, const SpacingRequest& request);

// The levels of the spacing, from the most noise to the least. Throws UsageError for an unknown
// name, for a count that the process does not have and for a spacing that does not fit the process,
// naming those that do.
std::vector<NoiseLevel> spaced_levels(const Process& process, std::string_view spacing,
                                      const SpacingRequest& request);

}  // namespace ddpm
