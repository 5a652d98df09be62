// The files in a run's directory that identify the run (config.json, data.jsonl), their connection
// to the checkpoints, and the checks before a run continues.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/data/fingerprint.h"
#include "ddpm/data/stream/picture_index.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

// Called when something went wrong and was repaired. The text is one line for users.
using Warn = std::function<void(const std::string&)>;

// RUN/name
std::string in_run(const std::string& run, const std::string& name);

// Whether the directory holds a run that can be resumed. Throws SystemError if the system cannot
// tell.
bool holds_run(const std::string& run);

// The options with which a run was started. They come from config.json, or from the newest
// checkpoint if config.json is missing. Throws Error if there are neither.
TrainOptions read_run_options(const std::string& run);

// Throws UsageError if the directory has only a run's model. A training can neither continue there
// nor start there without overwriting the model.
void refuse_lone_model(const std::string& run);
// Throws Error, which says that there is nothing to resume.
[[noreturn]] void fail_no_run(const std::string& run);

// The contents of config.json.
struct RunConfig {
  TrainOptions options;
  // Identifies the run: a hash of its options and pictures at the start. Empty in runs of version
  // 0.1.0 that have not been resumed since.
  std::string id;
  // The hashes of the data sets that it was trained on, the newest last. There are several if the
  // user accepted changed data sets, and none in runs of version 0.1.0.
  std::vector<std::string> data_hashes;
  // The classes that its network is told, in the order of their numbers.
  std::vector<std::string> class_names = {};
};

// The configuration of a run that starts now with these options. Equal options and pictures give
// equal runs, which therefore have equal ids.
RunConfig start_config(const TrainOptions& options, const ModelConfig& model,
                       const DataFingerprint& data);

// Throws Error if there is no config.json and no checkpoint from which it can be restored, and if
// config.json is damaged. If config.json is missing but checkpoints hold a copy, that copy is used
// and `warn` is called.
RunConfig read_run_config(const std::string& run, const Warn& warn);
void write_run_config(const std::string& run, const RunConfig& config, const ModelConfig& model);

// Sets in `options` what a resumed run takes from the start of the run. Throws UsageError naming
// the first option that a resumed run may not change.
void adopt_started_options(const TrainOptions& started_with, TrainOptions& options);

// Gives a run of version 0.1.0 an id. Its checkpoints without marks then count as its own.
void adopt_old_run(RunConfig& config, const ModelConfig& model, const DataFingerprint& data);

// The marks that connect a checkpoint with its run.
CheckpointMarks marks_of(const RunConfig& config);
// Explains why the checkpoint does not belong to this run. Empty if it does. Throws UsageError,
// naming the option, if it does but config.json was edited since.
std::string why_foreign(const CheckpointMarks& marks, const RunConfig& config);

// Reads RUN/data.jsonl. Returns no files if it is missing or damaged: its hash must be the newest
// one in the configuration.
DataFingerprint read_data_index(const std::string& run, const RunConfig& config);
void write_data_index(const std::string& run, const DataFingerprint& data);
// Reads RUN/index.jsonl. Returns no pictures if it is missing or damaged: then all files are read
// again.
PictureIndex read_picture_index(const std::string& run);
void write_picture_index(const std::string& run, const PictureIndex& index);

// How the pictures differ from those that the run was trained on last. Empty if they do not, or if
// those are not known. `before` is the index. It has no files if it is lost.
std::string changes_of_data(const RunConfig& config, const DataFingerprint& before,
                            const DataFingerprint& now);
// Adds the hash of the pictures to the configuration. If the pictures have changed since the run
// was started and the user has not accepted that, throws UsageError that says what changed.
// `before` is the index. It has no files if it is lost.
void check_data(const std::string& run, RunConfig& config, const DataFingerprint& before,
                const DataFingerprint& now, bool accept_changes);

// Throws UsageError unless the classes of the pictures are those that the network was trained on.
// The network knows them by their numbers.
void check_classes(const std::string& run, const RunConfig& config,
                   const std::vector<std::string>& now);

// Removes the temporary files that killed processes left in the run, including those of version
// 0.1.0.
void remove_leftovers(const std::string& run);

}  // namespace ddpm
