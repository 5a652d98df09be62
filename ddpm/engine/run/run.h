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
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

class Dataset;
struct LoadReport;

// What a step was like.
struct RunMetrics {
  // 1, 2, ...
  int64_t step = 0;
  double loss = 0;
  // Before clipping.
  double gradient_norm = 0;
  double learning_rate = 0;
  double images_per_s = 0;
};

// Told of what happens, on the thread that works. Every function may be empty.
struct RunObserver {
  // A step was done; what is due after it (a save, a grid) comes next. What this throws leaves
  // step(), and the run as if it had been killed there.
  std::function<void(const RunMetrics&)> stepped;
  // A checkpoint or a sample grid is complete.
  std::function<void(const std::string& path)> saved;
  // Something went wrong that does not end the training, or was put right.
  std::function<void(const std::string& text)> warned;
  // Asked while a grid is drawn. True gives the grid up; a resumed run draws it.
  std::function<bool()> stopping;
};

// What a run asks a program for.
struct PictureRequest {
  // The run's.
  const std::string& directory;
  bool resumed;
  // The run's options. What is changed is stored with the run.
  DataOptions& options;
  // Of the pictures that the run was trained on so far; without entries where that is not known.
  const DataFingerprint& known;
};
using PictureLoader = std::function<std::shared_ptr<const Pictures>(const PictureRequest&)>;

// A run as it stood between two steps.
struct RunSnapshot {
  // Done in all, earlier sessions included.
  int64_t steps = 0;
  // TrainOptions::optimizer.steps
  int64_t wanted_steps = 0;
  // Of the last step of this session; its step is 0 before the first.
  RunMetrics metrics;
  // The newest complete files of this session; empty before there are any.
  std::string checkpoint, model, samples;
};

// What a program may show while pictures are read. Every function may be empty.
struct SourceEvents {
  // As load_source() calls it.
  std::function<void(int64_t done, int64_t total)> loading;
  // All pictures are there.
  std::function<void(const LoadReport&, const Dataset&)> loaded;
};

// Loads the source of DataOptions for a run. It throws as load_source() does; UsageError also where
// no source is named or the run's directory is that of the pictures, and Error where the pictures
// of a resumed run are not where they were.
PictureLoader pictures_from_source(SourceEvents events = {});

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
                                     const PictureLoader& pictures, RunObserver observer = {});

  // Continues the run in the directory from its newest sound checkpoint, from the start where it
  // has none yet. First it puts right what the last session left undone, so that the run ends with
  // the files of one that was never interrupted: it removes temporary files, mends metrics.jsonl,
  // and makes the model, the curve and the grid of its checkpoint where they are missing or older.
  // Throws UsageError also for pictures that changed and for a config.json that was edited; the
  // newest checkpoint stays whole whatever happens.
  static std::unique_ptr<Run> resume(const std::string& directory,
                                     std::shared_ptr<const Pictures> pictures,
                                     ResumeOptions options = {}, RunObserver observer = {});
  static std::unique_ptr<Run> resume(const std::string& directory, const PictureLoader& pictures,
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
