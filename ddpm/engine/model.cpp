#include "ddpm/engine/model.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/file.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/options.h"
#include "ddpm/base/utf8.h"
#include "ddpm/base/version.h"
#include "ddpm/diffusion/schedule.h"
#include "ddpm/engine/mixture_model.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"
#include "ddpm/tensor/memory.h"

namespace ddpm {
namespace {

[[noreturn]] void fail_model(const std::string& path, std::string_view what) {
  fail("model", fmt::format("{}: {}", path, what));
}

// The network whose state dict has these names and shapes.
NetworkConfig recognise(const SafetensorsFile& file, const std::string& prefix,
                        const JsonObject& given) {
  StateDictShapes shapes;
  for (const SafetensorsEntry& entry : file.entries()) {
    if (!entry.name.starts_with(prefix)) continue;
    const Layout layout = state_dict_layout(entry.name, entry.shape.rank());
    shapes.emplace(entry.name.substr(prefix.size()), from_pytorch(entry.shape, layout));
  }
  const auto network = [&] {
    try {
      return recognise_network(shapes, given);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      fail_model(file.path(), without_place(error.what()));
    }
  }();
  if (!network) {
    fail_model(file.path(),
               fmt::format("it has no metadata of ddpm, and it is not a state dict of a known "
                           "network ({})",
                           join_choices(network_names())));
  }
  return *network;
}

// Combines the file's configuration with the user's options. Impossible values in the file mean
// that the file is damaged. Impossible values from the user are a usage error.
ModelConfig read_config(const SafetensorsFile& file, const std::string& prefix,
                        const JsonObject& given) {
  ModelConfig config;
  const auto text = file.metadata().find(kConfigKey);
  const bool told = text != file.metadata().end();
  if (told) {
    config =
        model_config_from_json(text->second, fmt::format("the configuration in {}", file.path()));
  } else {
    config.network = recognise(file, prefix, given);
  }
  try {
    config.check();
  } catch (const UsageError& error) {
    if (!told && !given.members().empty()) throw;
    fail_model(file.path(), without_place(error.what()));
  }
  for (const auto& [name, value] : given.members()) {
    if (fields_of(config).find(name) != nullptr) continue;
    fail_usage("model",
               fmt::format("{} holds a network of the family {}, which has no {}; leave it "
                           "out",
                           file.path(), config.network.family(), name));
  }
  for (const Field& field : fields_of(config)) {
    const std::string* value = given.find(field.name());
    if (value == nullptr || field.in_state_dict()) continue;
    const std::string in_file = field.json();
    field.read(*value);
    if (told && field.json() != in_file) {
      fail_usage("model", fmt::format("{} says that {} is {}, so it cannot be {}; leave it out",
                                      file.path(), field.name(), in_file, field.json()));
    }
  }
  // All values agree by now, except those that the family reads in a form of its own.
  if (told) config.network.take_given(given);
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

// The shapes in a file may need more memory than there is, because a sparse file can be huge.
void require_memory_for_weights(const std::string& path, Network& plan) {
  const int64_t bytes = plan.parameter_count() * size_of(DType::kFloat32);
  const AvailableMemory available = available_memory();
  if (bytes > available.bytes) {
    fail_model(path,
               fmt::format("its weights take {} of memory, but {} leaves {}", memory_text(bytes),
                           available.limit, memory_text(available.bytes)));
  }
}

// A checkpoint also holds tensors that are not in the network. A state dict with further tensors is
// that of another network.
void check_nothing_is_left(const SafetensorsFile& file, Network& network) {
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

Model load_model(const std::string& path, Device device, const JsonObject& given,
                 WeightKind weights) {
  Model model;
  model.path = find_model_file(path, weights);
  const SafetensorsFile file = SafetensorsFile::open(model.path);
  if (holds_mixture(file)) {
    if (weights == WeightKind::kRaw) {
      fail_usage("model", fmt::format("{} holds a mixture, which has no weights of a training; "
                                      "leave out --weights raw",
                                      model.path));
    }
    model.config = read_mixture(file, given);
    model.network = make_network(model.config.network, device);
    return model;
  }
  const auto& metadata = file.metadata();
  const auto kind = metadata.find(kKindKey);
  const bool is_checkpoint = kind != metadata.end() && kind->second == "checkpoint";
  const bool raw = weights == WeightKind::kRaw;
  if (raw && !is_checkpoint) {
    fail_usage("model",
               fmt::format("{} holds one set of weights, the averaged ones if it is from a "
                           "training; raw ones are in RUN/checkpoints. Leave out --weights "
                           "raw, or give RUN or a checkpoint",
                           model.path));
  }
  const std::string prefix = !is_checkpoint ? "" : raw ? "model." : "ema.";
  model.config = read_config(file, prefix, given);
  if (const auto family = metadata.find(kFamilyKey);
      family != metadata.end() && family->second != model.config.network.family()) {
    fail_model(model.path, fmt::format("its {} is {}, but it holds a network of the family {}",
                                       kFamilyKey, family->second, model.config.network.family()));
  }
  model.trained_steps = read_step(file);
  const std::unique_ptr<Network> plan = make_network(model.config.network, Device::kDry);
  check_shapes(file, prefix, *plan);
  if (!is_checkpoint) check_nothing_is_left(file, *plan);
  if (memory_of(device).holds_values()) require_memory_for_weights(model.path, *plan);
  model.network = make_network(model.config.network, device);
  std::vector<Tensor> targets = parameter_tensors(*model.network);
  read_weights(file, prefix, *model.network, targets);
  return model;
}

void save_model(const std::string& path, const ModelConfig& config, Network& network,
                const std::vector<Tensor>& weights, int64_t trained_steps, const std::string& run,
                const std::map<std::string, std::string>& more_metadata) {
  SafetensorsWriter writer;
  writer.set_metadata("format", "pt");
  writer.set_metadata(kKindKey, "model");
  writer.set_metadata(kVersionKey, version());
  writer.set_metadata(kStepKey, std::to_string(trained_steps));
  writer.set_metadata(kConfigKey, to_json(config));
  if (!run.empty()) writer.set_metadata(kRunKey, run);
  for (const auto& [key, value] : more_metadata) writer.set_metadata(key, value);
  if (config.network.get<MixtureConfig>() != nullptr)
    add_mixture(writer, config);
  else
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
