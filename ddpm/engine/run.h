// A training run in a directory:
//   config.json          every option, the seed, the version, and what tells the run from others
//   data.jsonl           the files that gave pictures, with their hashes
//   metrics.jsonl        a line per logged step: step, loss, grad_norm, lr, images_per_s
//   samples/step-*.png   grids drawn with the averaged weights
//   checkpoints/         the newest full states; a resumed run continues from the newest
//   model.safetensors    the averaged weights with their configuration: all that sampling needs
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

// What a program may show. Every function may be empty. All are called on the thread that runs
// train(), but for `loading`, which load_source calls.
struct TrainEvents {
  LoadProgress loading;                                           // pictures decoded
  std::function<void(const LoadReport&, const Dataset&)> loaded;  // all pictures are there
  std::function<void(const ModelConfig&, int64_t parameters, int64_t first_step)> started;
  std::function<void(const StepMetrics&, double images_per_s)> stepped;
  std::function<void(const std::string& path)> saved;  // a checkpoint or a sample grid is complete
  // Something went wrong that does not end the training, or was put right.
  std::function<void(const std::string& text)> warned;
};

struct RunRequest {
  std::string directory;
  bool resume = false;               // continue the run that is there
  bool accept_changed_data = false;  // a resumed run may go on with other pictures
};

struct TrainResult {
  int64_t steps = 0;      // done in all, earlier sessions included
  bool finished = false;  // false: stopped early, with everything saved
};

// Starts a new run in the directory, or continues the one there from its newest sound checkpoint,
// from the start where it has none yet; options.steps may be larger than before. `stop` is looked
// at after every step and while grids are drawn: once true, the state is saved and train() returns.
//
// A resumed run first puts right what the last session left undone, so that it ends with the files
// of a run that was never interrupted: it removes temporary files, mends metrics.jsonl, and makes
// the model, the curve and the grid that belong to its checkpoint where they are missing or older.
//
// Throws UsageError for options that cannot work, for a directory that is in use or holds a run
// (without resume), for pictures that changed and a config.json that was edited (with it), and
// Error for the rest; the newest checkpoint stays whole whatever happens.
TrainResult train(const TrainOptions& options, const RunRequest& request, const TrainEvents& events,
                  const std::atomic<bool>& stop);

// Whether the directory holds a run that can be resumed. Throws SystemError where it cannot be
// told.
bool holds_run(const std::string& run);

// The options a run was started with: those of config.json, or where it is lost those that the
// newest checkpoint holds. Throws Error where there are neither.
TrainOptions read_run_options(const std::string& run);

}  // namespace ddpm
