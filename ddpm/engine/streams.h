// All purposes of randomness in one place. A run has one seed; each purpose has a stream of its
// own, so that drawing more of one changes nothing of the others.
#pragma once

#include <cstdint>

#include "ddpm/base/philox.h"

namespace ddpm {

// The numbers are part of the format of a run: changing one changes what a seed gives.
enum class Stream : uint64_t {
  kInitialWeights = 1,
  kLevels = 2,
  kNoise = 3,
  kPictureOrder = 4,
};

inline uint64_t seed_of(uint64_t run_seed, Stream stream) {
  return mix_seed(run_seed, static_cast<uint64_t>(stream));
}

}  // namespace ddpm
