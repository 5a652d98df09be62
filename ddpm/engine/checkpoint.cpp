#include "ddpm/engine/checkpoint.h"

#include <fmt/core.h>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/options.h"
#include "ddpm/base/version.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

constexpr char kDataKey[] = "ddpm.data", kOptionsKey[] = "ddpm.options";
// Only in checkpoints of runs that skipped steps.
constexpr char kSkippedKey[] = "ddpm.skipped_steps";

// The value of a key. Empty if there is none.
std::string value_of(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

std::vector<NamedAverage> with_own(const std::vector<NamedAverage>& averages,
                                   const Optimizer& optimizer) {
  return averages.empty() ? all_averages(optimizer, Averages({}, {})) : averages;
}

// The prefix of the tensors of an average. Samples are drawn with the first.
std::string prefix_of(const std::vector<NamedAverage>& averages, size_t k) {
  return k == 0 ? "ema." : fmt::format("average.{}.", averages[k].name);
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& path) {
  Checkpoint checkpoint(SafetensorsFile::open(path));
  const SafetensorsFile& file = checkpoint.file_;
  if (value_of(file, kKindKey) != "checkpoint" || !file.metadata().contains(kStepKey)) {
    fail("checkpoint",
         fmt::format("{} is not a checkpoint of a training run; checkpoints are in RUN/checkpoints",
                     path));
  }
  json_value::read(value_of(file, kStepKey), kStepKey, checkpoint.step_);
  if (checkpoint.step_ < 0 || checkpoint.step_ > kMostTrainedSteps) {
    fail("checkpoint", fmt::format("{} says that it was saved after step {}, which is impossible",
                                   path, checkpoint.step_));
  }
  int64_t skipped = 0;
  if (const std::string text = value_of(file, kSkippedKey); !text.empty())
    json_value::read(text, kSkippedKey, skipped);
  if (skipped < 0 || skipped > checkpoint.step_) {
    fail("checkpoint", fmt::format("{} says that {} of {} steps were skipped, which is impossible",
                                   path, skipped, checkpoint.step_));
  }
  checkpoint.updates_ = checkpoint.step_ - skipped;
  checkpoint.config_ = model_config_from_json(value_of(file, kConfigKey),
                                              fmt::format("the configuration in {}", path));
  checkpoint.marks_ = {.run = value_of(file, kRunKey),
                       .data = value_of(file, kDataKey),
                       .options = value_of(file, kOptionsKey)};
  return checkpoint;
}

void Checkpoint::load(Network& network, Optimizer& optimizer,
                      const std::vector<NamedAverage>& averages, const Deliver& deliver) const {
  std::vector<Tensor> weights = parameter_tensors(network);
  read_weights(file_, "model.", network, weights);
  std::vector<NamedAverage> all = with_own(averages, optimizer);
  for (size_t k = 0; k < all.size(); ++k)
    read_weights(file_, prefix_of(all, k), network, all[k].values, deliver);
  read_tensors(file_, state_tensors(network, optimizer), deliver);
  optimizer.set_steps(updates_);
}

void save_checkpoint(const std::string& path, const ModelConfig& config, Network& network,
                     const Optimizer& optimizer, const CheckpointMarks& marks,
                     int64_t skipped_steps, const std::vector<NamedAverage>& averages,
                     const Fetch& fetch) {
  SafetensorsWriter writer;
  writer.fetch_with(fetch);
  writer.set_metadata("format", "pt");
  writer.set_metadata(kKindKey, "checkpoint");
  writer.set_metadata(kVersionKey, version());
  writer.set_metadata(kStepKey, std::to_string(optimizer.steps() + skipped_steps));
  if (skipped_steps > 0) writer.set_metadata(kSkippedKey, std::to_string(skipped_steps));
  writer.set_metadata(kConfigKey, to_json(config));
  writer.set_metadata(kRunKey, marks.run);
  writer.set_metadata(kDataKey, marks.data);
  writer.set_metadata(kOptionsKey, marks.options);
  add_weights(writer, "model.", network, parameter_tensors(network));
  const std::vector<NamedAverage> all = with_own(averages, optimizer);
  add_weights(writer, prefix_of(all, 0), network, all[0].values);
  for (const FileTensor& state : state_tensors(network, optimizer))
    writer.add(state.name, state.tensor, state.layout);
  for (size_t k = 1; k < all.size(); ++k)
    add_weights(writer, prefix_of(all, k), network, all[k].values);
  writer.write(path);
}

void load_checkpoint(const std::string& path, Network& network, Optimizer& optimizer) {
  Checkpoint::open(path).load(network, optimizer);
}

void prune_checkpoints(const std::string& run, const PruneOptions& options) {
  std::vector<StepFile> all = list_checkpoints(run);
  std::erase_if(all, [&](const StepFile& entry) { return entry.step > options.newest; });
  int64_t kept = 0;
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    const auto is_multiple = [&](int64_t every) {
      return every > 0 && entry->step > 0 && entry->step % every == 0;
    };
    const bool due = entry->step == options.newest || is_multiple(options.save_every) ||
                     is_multiple(options.save_every_before);
    if (due && kept < options.keep) {
      ++kept;
      continue;
    }
    remove_file(entry->path);
  }
}

}  // namespace ddpm
