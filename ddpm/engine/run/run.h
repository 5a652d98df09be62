// A training run in a directory, as an object that is moved on step by step:
//   config.json          every option, the seed, the version, and what tells the run from others
//   data.jsonl           what the pictures were, with hashes
//   metrics.jsonl        a line per logged step: step, loss, grad_norm, lr, images_per_s
//   samples/step-*.png   grids drawn with the averaged weights
//   checkpoints/         the newest full states; a resumed run continues from the newest
//   model.safetensors    the averaged weights with their configuration: all that sampling needs
//   loss.png             the curve so far
//
// One thread works: it makes the run and calls what is not const. Other threads may call snapshot()
// and averaged_model() meanwhile. A run prints nothing, catches no signals and changes nothing of
// its process, such as the number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/run/run_types.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

struct ResumeOptions {
  // Those the run was started with where they are not given. They may differ in what
  // Field::changeable() allows, such as the number of steps.
  std::optional<TrainOptions> options;
  // Go on although the pictures are not those that the run was trained on.
  bool accept_changed_data = false;
};

class RunSession;

class Run {
 public:
  // Starts a new run. Pictures are given, or loaded once it is sure that the directory can be used;
  // pictures that are given decide size and channels. Throws UsageError for options that cannot
  // work and for a directory that is in use or already holds a run, Error for the rest; then
  // nothing was written.
  static std::unique_ptr<Run> create(const std::string& directory, const TrainOptions& options,
                                     std::shared_ptr<const Pictures> pictures,
                                     RunObserver observer = {});
  static std::unique_ptr<Run> create(const std::string& directory, const TrainOptions& options,
                                     PictureLoader pictures, RunObserver observer = {});

  // Continues the run in the directory from its newest sound checkpoint, from the start where it
  // has none yet. First it puts right what the last session left undone, so that the run ends with
  // the files of one that was never interrupted: it removes temporary files, mends metrics.jsonl,
  // and makes the model, the curve and the grid of its checkpoint where they are missing or older.
  // Throws UsageError also for pictures that changed and for a config.json that was edited; the
  // newest checkpoint stays whole whatever happens.
  static std::unique_ptr<Run> resume(const std::string& directory,
                                     std::shared_ptr<const Pictures> pictures,
                                     ResumeOptions options = {}, RunObserver observer = {});
  static std::unique_ptr<Run> resume(const std::string& directory, PictureLoader pictures,
                                     ResumeOptions options = {}, RunObserver observer = {});

  // Saves nothing: what was done since the last save is lost, and a resumed run does it again.
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // One step, its line in metrics.jsonl, and the save and the grid that are due after it; those of
  // the last step come with finish(). Throws Error where done(), where the loss is not finite, and
  // where a file cannot be written.
  RunMetrics step();
  // Saves the state now, unless it is saved.
  void save();
  // Ends the work for now: saves, and draws the last grid where all steps are done. Whether the run
  // is complete; false where steps are left or the grid was given up.
  bool finish();
  // Pictures of the averaged weights, float32 [count, H, W, C]. Throws as generate() does.
  Tensor sample(const GenerateOptions& options);

  // Whether all steps are done.
  bool done() const;
  // Steps done in all, and before this session.
  int64_t steps() const;
  int64_t first_step() const;
  const std::string& directory() const;
  const TrainOptions& options() const;
  const ModelConfig& config() const;
  int64_t parameter_count() const;

  // For any thread, while the run lives. Never waits for a step.
  RunSnapshot snapshot() const;
  // A network with a copy of the averaged weights as they stand after a whole step; waits for the
  // end of the step that is being done.
  Model averaged_model() const;

 private:
  explicit Run(std::unique_ptr<RunSession> session);

  std::unique_ptr<RunSession> session_;
};

}  // namespace ddpm
