// The state of a training run in one file, with which a resumed run continues as if it had never
// stopped. It holds the weights, their averages, the optimizer's state and step, and the options
// with the seed. Randomness is counter-based, so seed and step are its whole state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/engine/model_config.h"
#include "ddpm/engine/step_files.h"
#include "ddpm/engine/weights.h"
#include "ddpm/io/safetensors.h"
#include "ddpm/optim/averages.h"
#include "ddpm/optim/optimizer.h"

namespace ddpm {

// Shows which run a checkpoint belongs to. Empty in files of version 0.1.0.
struct CheckpointMarks {
  // The run's id.
  std::string run;
  // The hash of the data set.
  std::string data;
  // All options, as a JSON object like that in config.json.
  std::string options;
};

// An open checkpoint. Its header has been read and its checksum verified.
class Checkpoint {
 public:
  // Throws Error if the file is damaged or not a checkpoint, SystemError if it cannot be read.
  static Checkpoint open(const std::string& path);

  int64_t step() const { return step_; }
  const ModelConfig& config() const { return config_; }
  const CheckpointMarks& marks() const { return marks_; }
  // Reads everything into a network of its configuration, the network's optimizer and the averages
  // (all_averages()). Without averages, only the optimizer's own is read. Throws Error if it does
  // not fit, or if a weight is not finite.
  void load(Network& network, Optimizer& optimizer, const std::vector<NamedAverage>& averages = {},
            const Deliver& deliver = {}) const;

 private:
  explicit Checkpoint(SafetensorsFile file) : file_(std::move(file)) {}

  SafetensorsFile file_;
  int64_t step_ = 0;
  // The steps of the optimizer.
  int64_t updates_ = 0;
  ModelConfig config_;
  CheckpointMarks marks_;
};

// Atomic: an older file of the same name stays complete until the new one is complete. The
// step of the file counts skipped steps as well, which the optimizer does not. Averages as in
// Checkpoint::load().
void save_checkpoint(const std::string& path, const ModelConfig& config, Network& network,
                     const Optimizer& optimizer, const CheckpointMarks& marks = {},
                     int64_t skipped_steps = 0, const std::vector<NamedAverage>& averages = {},
                     const Fetch& fetch = {});
// Checkpoint::open() and load() in one call.
void load_checkpoint(const std::string& path, Network& network, Optimizer& optimizer);

struct PruneOptions {
  // The step that was saved last. Checkpoints with higher steps are not removed.
  int64_t newest = 0;
  // The number of steps between regular saves.
  int64_t save_every = 1;
  // The same in the previous session. 0: as now.
  int64_t save_every_before = 0;
  // How many regular saves are kept. `newest` counts as one.
  int64_t keep = 1;
};
// Removes older checkpoints. This includes each one that was saved between regular saves (as with
// Ctrl-C), once a later one exists. An interrupted run therefore ends with the same files as a run
// that was not interrupted. Throws SystemError if a file cannot be removed.
void prune_checkpoints(const std::string& run, const PruneOptions& options);

}  // namespace ddpm
