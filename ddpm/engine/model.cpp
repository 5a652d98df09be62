#include "ddpm/engine/model.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/options.h"
#include "ddpm/base/utf8.h"
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

[[noreturn]] void fail_model(const std::string& path, const std::string& what) {
  fail("model", fmt::format("{}: {}", path, what));
}

// What the file says and the flags add. A file that says what cannot be is damaged; a flag that
// does is a mistake in the request.
ModelConfig read_config(const SafetensorsFile& file, const std::string& prefix,
                        const ModelOverrides& overrides) {
  ModelConfig config;
  const auto text = file.metadata().find(kConfigKey);
  const bool told = text != file.metadata().end();
  if (told) {
    config =
        model_config_from_json(text->second, fmt::format("the configuration in {}", file.path()));
  } else {
    config.network = infer_unet_config(file, prefix, overrides);
  }
  try {
    config.check();
  } catch (const UsageError& error) {
    if (!told && overrides.any()) throw;
    fail_model(file.path(), error.what());
  }
  apply(overrides, config);
  config.check();
  return config;
}

int64_t read_step(const SafetensorsFile& file) {
  const auto text = file.metadata().find(kStepKey);
  if (text == file.metadata().end()) return -1;
  int64_t step = 0;
  json_value::read(text->second, fmt::format("{} in {}", kStepKey, file.path()), step);
  if (step < 0 || step > kMostTrainedSteps) {
    fail_model(file.path(),
               fmt::format("{} is {}, not between 0 and {}", kStepKey, step, kMostTrainedSteps));
  }
  return step;
}

// The shapes in a file may promise more than there is: the bytes of a sparse file cost nothing.
void require_memory_for_weights(const std::string& path, DiffusionUnet& plan) {
  const int64_t bytes = plan.parameter_count() * size_of(DType::kFloat32);
  const AvailableMemory available = available_memory();
  if (bytes > available.bytes) {
    fail_model(path,
               fmt::format("its weights take {} of memory, but {} leaves {}", memory_text(bytes),
                           available.limit, memory_text(available.bytes)));
  }
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

void ModelConfig::check() const {
  constexpr int64_t kLargestSide = 16384;
  network.check();
  for (const auto& [name, side] : {std::pair{"height", height}, std::pair{"width", width}}) {
    if (side < 0 || side > kLargestSide) {
      fail_usage("model", fmt::format("{} is {} but must lie between 1 and {}, or be 0 for unknown",
                                      name, side, kLargestSide));
    }
  }
  if (height > 0 && width > 0) network.check_image(height, width);
  if (timesteps < 1 || timesteps > kMostTimesteps) {
    fail_usage("model", fmt::format("timesteps is {} but must lie between 1 and {}", timesteps,
                                    kMostTimesteps));
  }
  const std::vector<std::string> known = schedule_names();
  if (std::find(known.begin(), known.end(), schedule) == known.end()) {
    fail_usage("model", fmt::format("there is no schedule '{}'; choose {}", shortened(schedule),
                                    join_choices(known)));
  }
}

std::string find_model_file(const std::string& path) {
  const std::optional<FileStatus> found = find_file(path);
  if (!found) {
    fail("model", fmt::format("there is no {}; give a run directory or a .safetensors file", path));
  }
  if (found->type != FileType::kFolder) return path;
  const std::string model = (fs::path(path) / "model.safetensors").string();
  if (exists(model)) return model;
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
  model.config = read_config(file, prefix, overrides);
  model.trained_steps = read_step(file);
  DiffusionUnet plan(model.config.network, Device::kDry);
  check_shapes(file, prefix, plan);
  if (!is_checkpoint) check_nothing_is_left(file, plan);
  if (holds_values(device)) require_memory_for_weights(model.path, plan);
  model.network = std::make_unique<DiffusionUnet>(model.config.network, device);
  std::vector<Tensor> targets = parameter_tensors(*model.network);
  read_weights(file, prefix, *model.network, targets);
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
