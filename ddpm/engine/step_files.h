// The files of a run that are named after a step: checkpoints, which hold everything that training
// needs, and snapshots, model files that are kept.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace ddpm {

struct StepFile {
  // The step in the file's name.
  int64_t step = 0;
  std::string path;
};

// step-00001000.safetensors
std::string step_file_name(int64_t step);
// The files with such names in a folder, oldest first. Empty if there is no such folder. Throws
// SystemError if it cannot be listed.
std::vector<StepFile> list_step_files(const std::string& folder);
// For messages: "100, 200, 300 (of 40)", the steps nearest to the one asked for.
std::string nearest_steps(const std::set<int64_t>& steps, int64_t asked);

// RUN/checkpoints/step-00001000.safetensors
std::string checkpoint_path(const std::string& run, int64_t step);
// As list_step_files().
std::vector<StepFile> list_checkpoints(const std::string& run);
// The path of the checkpoint with the highest step in its name.
std::optional<std::string> newest_checkpoint(const std::string& run);

// RUN/snapshots/step-00001000.safetensors
std::string snapshot_path(const std::string& run, int64_t step);
// As list_step_files().
std::vector<StepFile> list_snapshots(const std::string& run);

}  // namespace ddpm
