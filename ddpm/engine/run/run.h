// A training run in a directory, as an object that does one step at a time:
//   config.json          every option, the seed, the version, and the run's id
//   data.jsonl           the list of the pictures, with hashes
//   index.jsonl          what was found out about their files
//   metrics.jsonl        a line per logged step: step, loss, grad_norm, lr, images_per_s; with
//                        DataOptions::validation of some steps also val_loss and val_by_level
//   samples/step-*.png   grids drawn with the averaged weights
//   checkpoints/         the newest full states; a resumed run continues from the newest
//   snapshots/           the averaged weights of every snapshot_every-th step
//   averages/            the other averages, if the options ask for some: that of ema_decay and of
//                        the half-lives after the first as model files, and power-function averages
//                        of every power_average_every-th step
//   model.safetensors    the averaged weights with their configuration: enough for sampling
//   loss.png             the loss curve so far
//   guard.jsonl          the steps that were skipped because their loss or gradient was not finite
//   clock.jsonl          with a budget: what the clock decided about the number of steps
//   eval.jsonl, eval.png, best.safetensors   with eval_every: the distances from the pictures so
//   far,
//                        their curve, and the averaged weights of the smallest
//   tensorboard/         with RunOptions::tensorboard: the figures and grids as event files
//
// One thread works: it creates the run and calls the functions that are not const. Other threads
// may call snapshot() and averaged_model() at the same time. A run prints nothing, catches no
// signals and changes no settings of its process, such as the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

class Communicator;
struct LoadReport;
struct PictureIndex;

// The metrics of a step.
struct RunMetrics {
  // 1, 2, ...
  int64_t step = 0;
  double loss = 0;
  // Before clipping.
  double gradient_norm = 0;
  double learning_rate = 0;
  double images_per_s = 0;
  // The loss of the averaged weights on the pictures held out, if it was measured after this step,
  // and its means over eight parts of the levels of noise, from the least noise to the most.
  std::optional<double> validation_loss = std::nullopt;
  std::vector<double> validation_by_level = {};
  // The step changed no weights, because its pictures, loss or gradient were not finite. The values
  // above may then be NaN.
  bool skipped = false;
  // From the end of this step to the end of the run: the steps, saves, grids and evaluations that
  // are left, each as long as the last ones. nullopt before there were three steps. With a budget
  // (OptimizerOptions::budget), what is left of it.
  std::optional<double> seconds_left = {};
  // The number of all steps. With a budget, the present plan; 0 before there is one.
  int64_t planned_steps = 0;
  // The share of the training that is done, between 0 and 1.
  double progress = 0;
  // StepMetrics::rank_seconds
  std::vector<double> rank_seconds = {};
};

// An evaluation of the averaged weights, every RunOptions::eval_every steps.
struct RunEvaluation {
  int64_t step = 0;
  // The Frechet distance of `count` drawn pictures and those of the training.
  double frechet = 0;
  int64_t count = 0;
  // The network of features (eval/features.h).
  std::string features;
  // Whether no earlier distance was as small. Its weights are then in best.safetensors.
  bool best = false;
};

// Callbacks, called on the thread that works. Every function may be empty.
struct RunObserver {
  // A step is done. A snapshot, a save or a grid that is due comes after this call. If the function
  // throws, the exception leaves step(), and the run is as if it had been killed at that point.
  std::function<void(const RunMetrics&)> stepped;
  // A checkpoint, a snapshot or a sample grid has been written.
  std::function<void(const std::string& path)> saved;
  // The averaged weights were evaluated.
  std::function<void(const RunEvaluation&)> evaluated;
  // Something went wrong but was repaired, or does not end the training.
  std::function<void(const std::string& text)> warned;
  // Asked while a grid or pictures for an evaluation are drawn, and during a validation. True stops
  // it. A resumed run then makes it.
  std::function<bool()> stopping;
  // The seconds since the program began this session. They count to its budget. They must not fall.
  // Without it the session begins when the run is created or resumed.
  std::function<double()> clock;
};

// A run's request for pictures to the program.
struct PictureRequest {
  // The directory of the run. Empty on a rank that does not write.
  const std::string& directory;
  bool resumed;
  // The run's options. Changes to them are stored with the run.
  DataOptions& options;
  // The pictures that the run was trained on so far. Without entries if that is not known.
  const DataFingerprint& known;
  // What the run's last session has found out about the files of its source. The loader may
  // replace it, and the run then keeps it. A loader without files leaves it as it is.
  PictureIndex& index;
  // The ranks of the run, all of which load its pictures with equal requests at the same time. Null
  // if this process is alone.
  Communicator* ranks = nullptr;
};
using PictureLoader = std::function<std::shared_ptr<const Pictures>(const PictureRequest&)>;

// The memory of a session, computed before its first step.
struct RunMemoryForecast {
  // The largest resident set of this process until the end of the run.
  int64_t peak_bytes = 0;
  // By how much that is more than what it held before the first step, and what was free then.
  int64_t more_bytes = 0;
  int64_t available_bytes = 0;
  // What sets the limit: "the free memory of this machine", "ulimit -v".
  std::string limit;
};

// What rank 0 has sent to other ranks in this session.
struct RankTraffic {
  int64_t steps = 0;
  int64_t sent_bytes = 0;
  // The fewest bytes that a rank can send on average: all but its own part of the gradients, and
  // its own part of the weights to all others, in float32.
  int64_t fewest_bytes = 0;
  // The seconds in which nothing was computed, because gradients or weights were still on their
  // way.
  double waited = 0;
};

// The state of a run between two steps.
struct RunSnapshot {
  // All steps done, including earlier sessions.
  int64_t steps = 0;
  // TrainOptions::optimizer.steps. With a budget, the present plan; 0 before there is one.
  int64_t wanted_steps = 0;
  // The metrics of the last step of this session. Before the first step, metrics.step is 0.
  RunMetrics metrics;
  // The newest complete files of this session. Empty before there are any.
  std::string checkpoint, model, samples;
};

// Callbacks while pictures are read. Every function may be empty.
struct SourceEvents {
  // Called as load_source() does.
  std::function<void(int64_t done, int64_t total)> loading;
  // All pictures are loaded.
  std::function<void(const LoadReport&, const Pictures&)> loaded;
};

// Loads the source that DataOptions names, and if its condition is a folder the pictures there. It
// throws as load_source() does. It also throws UsageError if no source is named or the pictures are
// in the run's own directory, and Error if the pictures of a resumed run are no longer in their
// place. usable_classes: a new run without a condition learns the classes of its source if they are
// worth it (SourceOptions::usable_classes), also if the options do not ask for classes.
PictureLoader pictures_from_source(SourceEvents events = {}, bool usable_classes = false);

// Chooses the options of a new run once its pictures are known; plan_training() of training_plan.h
// does so for a budget of time. `model` is that of the given options and the pictures, `pictures`
// the number of those that are learnt from. It must not change the pictures' options. What cannot
// work whatever it chooses was refused before.
using RunPlanner = std::function<TrainOptions(const TrainOptions& options, const ModelConfig& model,
                                              int64_t pictures)>;

struct ResumeOptions {
  // Without a value, the options with which the run was started. Only fields with
  // Field::changeable() may differ from those, such as the number of steps.
  std::optional<TrainOptions> options;
  // Continue even if the pictures are not those that the run was trained on.
  bool accept_changed_data = false;
  // Those that serve_run() the run. Null if this process is alone. There may be another number of
  // them in each session.
  Communicator* ranks = nullptr;
};

class RunSession;

class Run {
 public:
  // Starts a new run. The pictures are given, or loaded after it is certain that the directory can
  // be used. Given pictures determine size and channels. Throws UsageError for options that cannot
  // work and for a directory that is in use or already holds a run, and Error for other failures.
  // In all these cases nothing was written. ranks: those that serve_run() the run; null if this
  // process is alone.
  static std::unique_ptr<Run> create(const std::string& directory, const TrainOptions& options,
                                     std::shared_ptr<const Pictures> pictures,
                                     RunObserver observer = {});
  static std::unique_ptr<Run> create(const std::string& directory, const TrainOptions& options,
                                     const PictureLoader& pictures, RunObserver observer = {},
                                     const RunPlanner& planner = {}, Communicator* ranks = nullptr);

  // Continues the run in the directory from its newest sound checkpoint, or from the start if it
  // has none yet. It first completes what the last session left unfinished, so that the run ends
  // with the same files as a run that was never interrupted. For this it removes temporary files,
  // repairs metrics.jsonl, and writes the model, the loss curve and the grid of its checkpoint if
  // they are missing or older, and its snapshot if one is due and missing. Also throws UsageError
  // for changed pictures and for an edited config.json. The newest checkpoint is never damaged.
  static std::unique_ptr<Run> resume(const std::string& directory,
                                     std::shared_ptr<const Pictures> pictures,
                                     ResumeOptions options = {}, RunObserver observer = {});
  static std::unique_ptr<Run> resume(const std::string& directory, const PictureLoader& pictures,
                                     ResumeOptions options = {}, RunObserver observer = {});

  // Saves nothing. Steps since the last save are lost, and a resumed run does them again.
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Does one step. A step whose pictures, loss or gradient are not finite is skipped. After three
  // of them in a row the run returns to its newest sound checkpoint and halves the learning rate,
  // so that steps() falls. guard.jsonl tells of both, and a resumed run decides the same. Then
  // writes its line in metrics.jsonl, and the snapshot, the save and the grid if they are due.
  // After the last step, finish() writes the save and the grid. Throws Error if done(), if it would
  // return to the same checkpoint for the fourth time, and if a file cannot be written. If that is
  // because the disk is full, it only warns, and the next save tries again.
  RunMetrics step();
  // Saves the state now, unless it is already saved. Throws SystemError if that fails, also if the
  // disk is full. Older saves are kept.
  void save();
  // Ends this session: saves, and draws the last grid if all steps are done. Returns whether the
  // run is complete. It is not if steps are left or the drawing of the grid was stopped. Throws as
  // save().
  bool finish();
  // Samples with the averaged weights: float32 [count, H, W, C]. Throws as generate() does.
  Tensor sample(const GenerateOptions& options);

  // Whether all steps are done. With a budget: whether its time is up.
  bool done() const;
  // The seconds of all sessions so far, for a run with a budget of time.
  std::optional<double> elapsed() const;
  // Nothing if the process is alone.
  std::optional<RankTraffic> traffic() const;
  // The number of all steps done, and of those done before this session.
  int64_t steps() const;
  int64_t first_step() const;
  const std::string& directory() const;
  const TrainOptions& options() const;
  const ModelConfig& config() const;
  int64_t parameter_count() const;
  RunMemoryForecast memory() const;
  // The number of pictures that the run learns from, and of those that it holds out.
  int64_t training_pictures() const;
  int64_t held_out_pictures() const;
  // The steps between measurements of the loss on those held out: RunOptions::validate_every, or
  // what was chosen instead of 0. 0 if none are held out.
  int64_t validate_every() const;

  // May be called on any thread while the run exists. Never waits for a step. On several ranks,
  // only the thread that works may call averaged_model().
  RunSnapshot snapshot() const;
  // A network with a copy of the averaged weights after a whole step. Waits for the end of a step
  // that is in progress.
  // Throws Error if it is called from inside a step, by Pictures::batch().
  Model averaged_model() const;

 private:
  explicit Run(std::unique_ptr<RunSession> session);

  std::unique_ptr<RunSession> session_;
};

}  // namespace ddpm
