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
  // The spacing whose levels come closest.
  std::string best_spacing;
  // Root mean square distances between the values of pictures in [-1, 1] drawn in few evaluations
  // and the same pictures drawn in many, on pictures that did not help to choose the levels: at the
  // levels of that spacing, and at the tuned levels.
  double before = 0;
  double after = 0;
};

// Called after each trial with the number of trials so far, the most that there can be, and the
// least distance so far. If it returns false, tune() throws Error.
using TuneProgress = std::function<bool(int64_t trial, int64_t most, double distance)>;

// Chooses levels for the sampler, order, number of evaluations and guidance of `options`, so that
// options.count pictures of options.seed end as close as possible to those of a fine trajectory
// from the same noise. The same is done by Xue et al. 2024 (arXiv:2402.17376) with a bound of the
// error in place of the error. It begins with each of the two best spacings, moves one level at a
// time between its neighbours, by shares of the gap that fall, and keeps what helps. Of the two
// results and the levels of the best spacing, it chooses those that are best on further pictures.
// The sampler "auto" is unipc here. Throws UsageError as generate(), and for a sampler that adds
// noise.
TuneResult tune(const Network& network, const ModelConfig& config, const GenerateOptions& options,
                const TuneProgress& progress = {});

}  // namespace ddpm
