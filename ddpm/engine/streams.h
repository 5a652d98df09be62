// The list of all uses of random numbers. A run has one seed, and each use has its own stream.
// Drawing more numbers for one use therefore does not change the others.
#pragma once

#include <cstdint>

#include "ddpm/base/philox.h"

namespace ddpm {

// The numbers are part of a run's format: changing one changes the results of a seed. Picture k of
// a sampling has the seed mix_seed(seed, k), so it may begin with the same words as stream k of a
// run with that seed. That does no harm, because nothing learns from sampled pictures.
enum class Stream : uint64_t {
  kInitialWeights = 1,
  kLevels = 2,
  kNoise = 3,
  kPictureOrder = 4,
  kDropout = 5,
  kSelfConditioning = 6,
  kInputPerturbation = 7,
  kLabelDropout = 10,
  kGridPictures = 12,
  kAugmentation = 20,
  kValidation = 30,
};

inline uint64_t seed_of(uint64_t run_seed, Stream stream) {
  return mix_seed(run_seed, static_cast<uint64_t>(stream));
}

}  // namespace ddpm
