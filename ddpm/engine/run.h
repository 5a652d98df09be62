// A training run in a directory:
//   config.json          every option, the seed and the version
//   metrics.jsonl        a line per logged step: step, loss, grad_norm, lr, images_per_s
//   samples/step-*.png   grids drawn with the averaged weights
//   checkpoints/         the newest full states, each atomic; --resume continues from the newest
//   model.safetensors    the averaged weights with their configuration: alone enough to sample
//   loss.png             the curve so far
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "ddpm/data/source.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/engine/trainer.h"

namespace ddpm {

// What a program may show. Every function may be empty; all are called on the thread that runs
// train().
struct TrainEvents {
  LoadProgress loading;                                           // pictures decoded
  std::function<void(const LoadReport&, const Dataset&)> loaded;  // all pictures are there
  std::function<void(const ModelConfig&, int64_t parameters, int64_t first_step)> started;
  std::function<void(const StepMetrics&, double images_per_s)> stepped;
  std::function<void(const std::string& path)> saved;  // a checkpoint or a sample grid is complete
};

struct TrainResult {
  int64_t steps = 0;      // done in all, earlier sessions included
  bool finished = false;  // false: stopped early, with everything saved
};

// Starts a new run in the directory, or with resume continues the one there from its newest
// checkpoint, from the start where it has none yet; options.steps may be larger than before. `stop`
// is looked at after every step: once true, the state is saved and train() returns. Throws
// UsageError for options that cannot work and Error for the rest; the newest checkpoint stays whole
// whatever happens. A directory that already holds a run is refused without resume, and one without
// config.json with it.
TrainResult train(const TrainOptions& options, const std::string& run, bool resume,
                  const TrainEvents& events, const std::atomic<bool>& stop);

// The options a run directory was started with. Throws Error where it has no config.json or a
// damaged one.
TrainOptions read_run_options(const std::string& run);
// Throws UsageError naming the first option that a resumed run may not change (whatever decides the
// network, the data or the process).
void check_resumable(const TrainOptions& started_with, const TrainOptions& now);

}  // namespace ddpm
