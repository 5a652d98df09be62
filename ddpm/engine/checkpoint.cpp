#include "ddpm/engine/checkpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/version.h"
#include "ddpm/engine/weights.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kPrefix = "step-", kSuffix = ".safetensors";

// Steps and paths of a run's checkpoints, oldest first.
std::vector<std::pair<int64_t, fs::path>> list_checkpoints(const std::string& run) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fs::path(run) / "checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    const char* end = name.data() + name.size() - kSuffix.size();
    int64_t step = 0;
    const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
    if (parsed.ec == std::errc() && parsed.ptr == end) found.emplace_back(step, entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::string checkpoint_path(const std::string& run, int64_t step) {
  return fs::path(run) / "checkpoints" / fmt::format("{}{:08}{}", kPrefix, step, kSuffix);
}

std::optional<std::string> newest_checkpoint(const std::string& run) {
  const auto all = list_checkpoints(run);
  if (all.empty()) return std::nullopt;
  return all.back().second.string();
}

void prune_checkpoints(const std::string& run, int64_t keep) {
  const auto all = list_checkpoints(run);
  for (int64_t i = 0; i + keep < static_cast<int64_t>(all.size()); ++i) {
    std::error_code error;
    fs::remove(all[static_cast<size_t>(i)].second, error);
  }
}

void save_checkpoint(const std::string& path, const ModelConfig& config, DiffusionUnet& network,
                     const Adam& adam) {
  SafetensorsWriter writer;
  writer.set_metadata("format", "pt");
  writer.set_metadata(kKindKey, "checkpoint");
  writer.set_metadata(kVersionKey, version());
  writer.set_metadata(kStepKey, std::to_string(adam.steps()));
  writer.set_metadata(kConfigKey, to_json(config));
  add_weights(writer, "model.", network, parameter_tensors(network));
  add_weights(writer, "ema.", network, adam.ema());
  add_weights(writer, "adam.m.", network, adam.moment1());
  add_weights(writer, "adam.v.", network, adam.moment2());
  writer.write(path);
}

void load_checkpoint(const std::string& path, DiffusionUnet& network, Adam& adam) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto& metadata = file.metadata();
  const auto kind = metadata.find(kKindKey), step = metadata.find(kStepKey);
  if (kind == metadata.end() || kind->second != "checkpoint" || step == metadata.end()) {
    fail("checkpoint",
         fmt::format("{} is not a checkpoint of a training run; those lie in RUN/checkpoints",
                     path));
  }
  int64_t steps = 0;
  json_value::read(step->second, kStepKey, steps);
  std::vector<Tensor> weights = parameter_tensors(network), ema = adam.ema(), m = adam.moment1(),
                      v = adam.moment2();
  read_weights(file, "model.", network, weights);
  read_weights(file, "ema.", network, ema);
  read_weights(file, "adam.m.", network, m);
  read_weights(file, "adam.v.", network, v);
  adam.set_steps(steps);
}

}  // namespace ddpm
