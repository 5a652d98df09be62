// What a user may write for a model: a file, a run, or a run at a step. A path that exists is
// always taken as it is, also with an @ in its name.
#include <fmt/core.h>

#include <charconv>
#include <filesystem>
#include <set>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/engine/model.h"
#include "ddpm/engine/step_files.h"
#include "ddpm/engine/weights.h"
#include "ddpm/io/safetensors.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

std::string model_of(const std::string& run) {
  return (fs::path(run) / "model.safetensors").string();
}

bool is_folder(const std::string& path) {
  const std::optional<FileStatus> found = find_file(path);
  return found && found->type == FileType::kFolder;
}

// The step in the metadata of a run's model. -1 if there is no model or it does not say.
int64_t step_of_newest(const std::string& run) {
  const std::string path = model_of(run);
  if (!exists(path)) return -1;
  try {
    const SafetensorsFile file = SafetensorsFile::open(path);
    const auto text = file.metadata().find(kStepKey);
    int64_t step = -1;
    if (text != file.metadata().end()) json_value::read(text->second, kStepKey, step);
    return step;
  } catch (const SystemError&) {
    throw;
  } catch (const Error&) {
    // Damaged: it is of no step.
    return -1;
  }
}

// The file of a step in a list. Empty if there is none.
std::string file_of(const std::vector<StepFile>& files, int64_t step) {
  for (const StepFile& file : files) {
    if (file.step == step) return file.path;
  }
  return "";
}

std::string file_at(const std::string& run, int64_t step, WeightKind weights) {
  const std::vector<StepFile> checkpoints = list_checkpoints(run);
  std::set<int64_t> steps;
  for (const StepFile& file : checkpoints) steps.insert(file.step);
  if (weights == WeightKind::kRaw) {
    if (const std::string path = file_of(checkpoints, step); !path.empty()) return path;
    fail_usage("model", fmt::format("{} has no checkpoint of step {}, and only checkpoints hold "
                                    "raw weights; there are those of the steps {}",
                                    run, step, nearest_steps(steps, step)));
  }
  const std::vector<StepFile> snapshots = list_snapshots(run);
  if (const std::string path = file_of(snapshots, step); !path.empty()) return path;
  if (const std::string path = file_of(checkpoints, step); !path.empty()) return path;
  const int64_t newest = step_of_newest(run);
  if (newest == step) return model_of(run);
  for (const StepFile& file : snapshots) steps.insert(file.step);
  if (newest >= 0) steps.insert(newest);
  fail_usage("model", fmt::format("{} has no weights of step {}; there are those of the steps {}. "
                                  "'ddpm train --snapshot-every N' keeps those of every N-th step",
                                  run, step, nearest_steps(steps, step)));
}

// The run and the text behind the last @. The run is empty if there is no @.
struct RunAtStep {
  std::string run, step;
};
RunAtStep split(const std::string& path) {
  const size_t at = path.rfind('@');
  if (at == std::string::npos || at == 0) return {};
  return {path.substr(0, at), path.substr(at + 1)};
}

std::string file_of_step(const std::string& path, WeightKind weights) {
  const RunAtStep asked = split(path);
  if (asked.run.empty() || !exists(asked.run)) {
    fail("model", fmt::format("{} does not exist; give a run directory, RUN@STEP or a .safetensors "
                              "file",
                              path));
  }
  if (!is_folder(asked.run)) {
    fail_usage("model", fmt::format("{} is not a run directory, so it has no @{}; leave that out",
                                    asked.run, asked.step));
  }
  int64_t step = 0;
  const char* end = asked.step.data() + asked.step.size();
  const auto parsed = std::from_chars(asked.step.data(), end, step);
  if (parsed.ec != std::errc() || parsed.ptr != end || step < 0) {
    fail_usage("model",
               fmt::format("{} does not exist; behind a run and its @ stands a step, a whole "
                           "number, as in {}@1000",
                           path, asked.run));
  }
  return file_at(asked.run, step, weights);
}

}  // namespace

std::string find_model_file(const std::string& path, WeightKind weights) {
  const std::optional<FileStatus> found = find_file(path);
  if (!found) return file_of_step(path, weights);
  if (found->type != FileType::kFolder) return path;
  const std::string model = model_of(path);
  if (weights == WeightKind::kAverage && exists(model)) return model;
  const std::optional<std::string> checkpoint = newest_checkpoint(path);
  if (checkpoint) return *checkpoint;
  if (weights == WeightKind::kRaw && exists(model)) {
    fail_usage("model", fmt::format("{} has no checkpoints, and only they hold raw weights; leave "
                                    "out --weights raw to use the averaged ones",
                                    path));
  }
  fail("model",
       fmt::format("{} holds neither model.safetensors nor checkpoints/step-*.safetensors; "
                   "give a run directory that training has saved to, or a .safetensors "
                   "file",
                   path));
}

}  // namespace ddpm
