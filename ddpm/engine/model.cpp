#include "ddpm/engine/model.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/options.h"
#include "ddpm/base/version.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/engine/checkpoint.h"
#include "ddpm/engine/weights.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

void apply(const ModelOverrides& overrides, ModelConfig& config) {
  UnetConfig& network = config.network;
  if (overrides.groups) network.resnet_block_groups = *overrides.groups;
  if (overrides.heads) {
    const int64_t hidden = network.attention_heads * network.attention_dim_head;
    if (*overrides.heads < 1 || hidden % *overrides.heads != 0) {
      fail_usage("model", fmt::format("{} heads do not divide the attention's {} channels",
                                      *overrides.heads, hidden));
    }
    network.attention_heads = *overrides.heads;
    network.attention_dim_head = hidden / *overrides.heads;
  }
  if (overrides.weight_standardization_eps)
    network.weight_standardization_eps = *overrides.weight_standardization_eps;
  if (overrides.schedule) config.schedule = *overrides.schedule;
  if (overrides.timesteps) config.timesteps = *overrides.timesteps;
}

// A file may hold more than the network (a checkpoint does), but a state dict with leftovers is
// another network.
void check_nothing_is_left(const SafetensorsFile& file, DiffusionUnet& network) {
  const size_t expected = network.parameters().size();
  if (file.entries().size() == expected) return;
  std::vector<std::string> known;
  for (const NamedParameter& named : network.parameters()) known.push_back(named.path);
  for (const SafetensorsEntry& entry : file.entries()) {
    if (std::find(known.begin(), known.end(), entry.name) == known.end()) {
      fail("model",
           fmt::format(
               "{} holds {}, which the network that its other tensors describe does not have",
               file.path(), entry.name));
    }
  }
}

}  // namespace

std::string to_json(const ModelConfig& config, int indent) {
  JsonObject object;
  write_options(config, object);
  return object.dump(indent);
}

ModelConfig model_config_from_json(std::string_view json, std::string_view what) {
  ModelConfig config;
  read_options(JsonObject::parse(json, what), config);
  return config;
}

std::string find_model_file(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (!fs::exists(path, error)) {
      fail("model",
           fmt::format("there is no {}; give a run directory or a .safetensors file", path));
    }
    return path;
  }
  const fs::path model = fs::path(path) / "model.safetensors";
  if (fs::is_regular_file(model, error)) return model;
  const std::optional<std::string> checkpoint = newest_checkpoint(path);
  if (!checkpoint) {
    fail("model", fmt::format("{} holds neither model.safetensors nor "
                              "checkpoints/step-*.safetensors; give a run directory "
                              "that training has saved to, or a .safetensors file",
                              path));
  }
  return *checkpoint;
}

Model load_model(const std::string& path, Device device, const ModelOverrides& overrides) {
  Model model;
  model.path = find_model_file(path);
  const SafetensorsFile file = SafetensorsFile::open(model.path);
  const auto& metadata = file.metadata();
  const auto kind = metadata.find(kKindKey);
  const bool is_checkpoint = kind != metadata.end() && kind->second == "checkpoint";
  const std::string prefix = is_checkpoint ? "ema." : "";
  if (const auto config = metadata.find(kConfigKey); config != metadata.end()) {
    model.config =
        model_config_from_json(config->second, fmt::format("the configuration in {}", model.path));
  } else {
    model.config.network = infer_unet_config(file, prefix, overrides);
  }
  apply(overrides, model.config);
  Schedule(model.config.schedule, model.config.timesteps);  // throws for values that cannot be
  if (const auto step = metadata.find(kStepKey); step != metadata.end()) {
    json_value::read(step->second, kStepKey, model.trained_steps);
  }
  model.network = std::make_unique<DiffusionUnet>(model.config.network, device);
  std::vector<Tensor> targets = parameter_tensors(*model.network);
  read_weights(file, prefix, *model.network, targets);
  if (!is_checkpoint) check_nothing_is_left(file, *model.network);
  return model;
}

void save_model(const std::string& path, const ModelConfig& config, DiffusionUnet& network,
                const std::vector<Tensor>& weights, int64_t trained_steps, const std::string& run) {
  SafetensorsWriter writer;
  writer.set_metadata("format", "pt");
  writer.set_metadata(kKindKey, "model");
  writer.set_metadata(kVersionKey, version());
  writer.set_metadata(kStepKey, std::to_string(trained_steps));
  writer.set_metadata(kConfigKey, to_json(config));
  if (!run.empty()) writer.set_metadata(kRunKey, run);
  add_weights(writer, "", network, weights);
  writer.write(path);
}

std::optional<int64_t> step_of_model(const std::string& path, const std::string& run) {
  if (!exists(path)) return std::nullopt;
  try {
    const SafetensorsFile file = SafetensorsFile::open(path);
    const auto& metadata = file.metadata();
    const auto kind = metadata.find(kKindKey), owner = metadata.find(kRunKey),
               step = metadata.find(kStepKey);
    if (kind == metadata.end() || kind->second != "model" || owner == metadata.end() ||
        owner->second != run || step == metadata.end())
      return std::nullopt;
    int64_t steps = 0;
    json_value::read(step->second, kStepKey, steps);
    return steps;
  } catch (const SystemError&) {
    throw;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace ddpm
