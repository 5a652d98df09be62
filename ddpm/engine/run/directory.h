// The files of a run's directory that say which run it is, and what is checked before a run goes
// on: config.json, data.jsonl and their ties to the checkpoints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ddpm/data/fingerprint.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

// Told of what went wrong and was put right, one line for people.
using Warn = std::function<void(const std::string&)>;

// RUN/name
std::string in_run(const std::string& run, const std::string& name);

// Whether the directory holds a run that can be resumed. Throws SystemError where it cannot be
// told.
bool holds_run(const std::string& run);

// The options a run was started with: those of config.json, or where it is lost those that the
// newest checkpoint holds. Throws Error where there are neither.
TrainOptions read_run_options(const std::string& run);

// Throws UsageError where all of a run but its model is lost: a training could neither go on nor
// begin there without losing that too.
void refuse_lone_model(const std::string& run);
// Throws Error: there is nothing to resume.
[[noreturn]] void fail_no_run(const std::string& run);

// What config.json holds.
struct RunConfig {
  TrainOptions options;
  // Identifies the run: a hash of what it was started with. Empty in runs of version 0.1.0.
  std::string id;
  // The hashes of the data sets that it was trained on, the newest last. More than one where a
  // changed data set was accepted; none in runs of version 0.1.0.
  std::vector<std::string> data_hashes;
};

// A run that is started now with these options. Equal options and pictures give equal runs, and so
// equal names.
RunConfig start_config(const TrainOptions& options, const ModelConfig& model,
                       const DataFingerprint& data);

// Throws Error where there is no config.json and nothing to rebuild it from, and where it is
// damaged. Where config.json is lost but checkpoints hold a copy, that is taken, and `warn` is
// told.
RunConfig read_run_config(const std::string& run, const Warn& warn);
void write_run_config(const std::string& run, const RunConfig& config, const ModelConfig& model);

// Takes from the run what a resumed run does not choose anew, and throws UsageError naming the
// first option that it may not change.
void adopt_started_options(const TrainOptions& started_with, TrainOptions& options);

// Gives a run of version 0.1.0 its id; its checkpoints without marks are then known as its own.
void adopt_old_run(RunConfig& config, const ModelConfig& model, const DataFingerprint& data);

// The marks that tie a checkpoint to its run.
CheckpointMarks marks_of(const RunConfig& config);
// Why the checkpoint is none of this run's; empty where it is one. Throws UsageError where it is,
// but config.json was edited since, naming the option.
std::string why_foreign(const CheckpointMarks& marks, const RunConfig& config);

// RUN/data.jsonl. No files where it is not there or damaged: its hash must be the one that the
// configuration holds.
DataFingerprint read_data_index(const std::string& run, const RunConfig& config);
void write_data_index(const std::string& run, const DataFingerprint& data);
// Adds the hash of the pictures to the configuration. Throws UsageError that says what changed
// since the run was started, unless that was accepted. `before` is the index, without files where
// it is lost.
void check_data(const std::string& run, RunConfig& config, const DataFingerprint& before,
                const DataFingerprint& now, bool accept_changes);

// Removes the temporary files that killed writers left in the run, those of version 0.1.0 included.
void remove_leftovers(const std::string& run);

}  // namespace ddpm
