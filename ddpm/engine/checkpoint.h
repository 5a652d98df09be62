// The state of a training run in one file, so that a resumed run goes on as if it had never
// stopped: weights, their average, the optimizer's moments and step, and the options with the seed.
// Randomness is counter-based, so seed and step are its whole state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/engine/model_config.h"
#include "ddpm/io/safetensors.h"
#include "ddpm/optim/adam.h"

namespace ddpm {

// What ties a checkpoint to its run. Empty in files of version 0.1.0.
struct CheckpointMarks {
  std::string run;      // the run's id
  std::string data;     // the hash of the data set
  std::string options;  // every option, a JSON object as in config.json
};

// An open checkpoint, its header read and its checksum verified.
class Checkpoint {
 public:
  // Throws Error where the file is damaged or no checkpoint, SystemError where it cannot be read.
  static Checkpoint open(const std::string& path);

  int64_t step() const { return step_; }
  const ModelConfig& config() const { return config_; }
  const CheckpointMarks& marks() const { return marks_; }
  // Reads everything into a network of its configuration and its optimizer; throws Error where it
  // does not fit.
  void load(Network& network, Adam& adam) const;

 private:
  explicit Checkpoint(SafetensorsFile file) : file_(std::move(file)) {}

  SafetensorsFile file_;
  int64_t step_ = 0;
  ModelConfig config_;
  CheckpointMarks marks_;
};

// Atomic: an older file of the name stays whole until the new one is complete.
void save_checkpoint(const std::string& path, const ModelConfig& config, Network& network,
                     const Adam& adam, const CheckpointMarks& marks = {});
// Checkpoint::open() and load() in one call.
void load_checkpoint(const std::string& path, Network& network, Adam& adam);

// RUN/checkpoints/step-00001000.safetensors
std::string checkpoint_path(const std::string& run, int64_t step);

struct CheckpointEntry {
  int64_t step = 0;  // as the name says
  std::string path;
};
// A run's checkpoints, oldest first; none where the run has no folder of them. Throws SystemError
// where it cannot be listed.
std::vector<CheckpointEntry> list_checkpoints(const std::string& run);
// The path of the newest by its name.
std::optional<std::string> newest_checkpoint(const std::string& run);

struct PruneOptions {
  int64_t newest = 0;             // the step that was saved last; later ones are not this session's
  int64_t save_every = 1;         // steps between the saves that are due
  int64_t save_every_before = 0;  // the same in the session before; 0: as now
  int64_t keep = 1;               // saves kept: of those that were due, and `newest`
};
// Removes older checkpoints, among them each that was saved in between (as Ctrl-C does) once a
// later one is there, so that an interrupted run ends with the files of one that was not. Throws
// SystemError where that fails.
void prune_checkpoints(const std::string& run, const PruneOptions& options);

}  // namespace ddpm
