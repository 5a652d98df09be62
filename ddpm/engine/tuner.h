// Finds the levels of noise at which few evaluations of one network come closest to many.
#pragma once

#include <cstdint>
#include <functional>

#include "ddpm/engine/generator.h"
#include "ddpm/engine/model_config.h"

namespace ddpm {

class Network;

struct TuneResult {
  TunedLevels levels;
  // The spacing that the search began with, the best of all.
  std::string began_with;
  // Root mean square distances between the values of pictures in [-1, 1] drawn in few evaluations
  // and the same pictures drawn in many, on pictures that the search did not look at: at the levels
  // that it began with, and at the tuned levels.
  double before = 0;
  double after = 0;
};

// Called after each trial with the number of trials so far, the most that there can be, and the
// least distance so far. If it returns false, tune() throws Error.
using TuneProgress = std::function<bool(int64_t trial, int64_t most, double distance)>;

// Chooses levels for the sampler, order, number of evaluations and guidance of `options`, so that
// options.count pictures of options.seed end as close as possible to those of a fine trajectory
// from the same noise. The same is done by Xue et al. 2024 (arXiv:2402.17376) with a bound of the
// error in place of the error. It moves one level at a time between its neighbours, by shares of
// the gap that fall, and keeps what helps. If the result does not help on other pictures, the
// levels are those of the spacing that it began with. The sampler "auto" is unipc here. Throws
// UsageError as generate(), and for a sampler that adds noise.
TuneResult tune(const Network& network, const ModelConfig& config, const GenerateOptions& options,
                const TuneProgress& progress = {});

}  // namespace ddpm
