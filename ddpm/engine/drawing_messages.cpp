#include "ddpm/engine/drawing_messages.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/base/json.h"
#include "ddpm/base/options.h"
#include "ddpm/comm/messages.h"
#include "ddpm/engine/mixture_model.h"
#include "ddpm/engine/weights.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

constexpr const char* kWhat = "what rank 0 tells of the drawing";

template <class T>
std::vector<T> broadcast_list(Communicator& ranks, std::vector<T> values) {
  values.resize(broadcast_value(ranks, values.size()));
  broadcast_bytes(ranks, std::as_writable_bytes(std::span(values)));
  return values;
}

void broadcast_values(Communicator& ranks, Tensor& tensor) {
  broadcast_bytes(ranks, std::as_writable_bytes(
                             std::span(tensor.f32(), static_cast<size_t>(tensor.elements()))));
}

// float32. It may be undefined.
Tensor broadcast_tensor(Communicator& ranks, const Tensor& tensor) {
  std::vector<int64_t> sides;
  for (int axis = 0; tensor.defined() && axis < tensor.shape().rank(); ++axis)
    sides.push_back(tensor.size(axis));
  sides = broadcast_list(ranks, std::move(sides));
  if (sides.empty()) return {};
  Tensor values = tensor.defined() ? tensor.to(Device::kCpu)
                                   : Tensor(Shape(sides.data(), static_cast<int>(sides.size())));
  broadcast_values(ranks, values);
  return values;
}

// The members of GenerateOptions that are not fields.
struct Rest {
  int64_t first = 0, height = 0, width = 0;
  int32_t prepare_weights = 1, all_states = 0;
};

void broadcast_rest(Communicator& ranks, GenerateOptions& options) {
  const Rest rest = broadcast_value(ranks, Rest{.first = options.first,
                                                .height = options.height,
                                                .width = options.width,
                                                .prepare_weights = options.prepare_weights ? 1 : 0,
                                                .all_states = options.all_states ? 1 : 0});
  options.first = rest.first;
  options.height = rest.height;
  options.width = rest.width;
  options.prepare_weights = rest.prepare_weights != 0;
  options.all_states = rest.all_states != 0;
  options.labels = broadcast_list(ranks, std::move(options.labels));
  options.only = broadcast_list(ranks, std::move(options.only));
  options.condition = broadcast_tensor(ranks, options.condition);
  std::vector<Tensor> noise(broadcast_value(ranks, options.noise.size()));
  for (size_t i = 0; i < noise.size(); ++i)
    noise[i] = broadcast_tensor(ranks, i < options.noise.size() ? options.noise[i] : Tensor());
  options.noise = std::move(noise);
}

// The configuration as JSON does not hold the mixture.
ModelConfig config_of(const std::string& json, const NetworkConfig& network) {
  return model_config_from_json(json, kWhat, {.network = network});
}

NetworkConfig broadcast_mixture(Communicator& ranks, const ModelConfig& config,
                                const GaussianMixture& mixture) {
  GaussianMixture copy{.size = broadcast_value(ranks, mixture.size),
                       .weights = broadcast_list(ranks, mixture.weights),
                       .means = broadcast_list(ranks, mixture.means),
                       .stds = broadcast_list(ranks, mixture.stds)};
  MixtureConfig result = *config.network.get<MixtureConfig>();
  result.mixture = std::make_shared<const GaussianMixture>(std::move(copy));
  result.process = config.process;
  result.height = config.height;
  result.width = config.width;
  return result;
}

}  // namespace

DrawingTask broadcast_task(Communicator& ranks, const DrawingTask& task,
                           const std::vector<Model>& networks) {
  const bool leads = ranks.rank() == 0;
  DrawingTask told = task;
  JsonObject fields;
  write_options(task.options, fields);
  const std::string options = broadcast_text(ranks, fields.dump(-1));
  const std::string config = broadcast_text(ranks, to_json(task.config));
  const std::string guide = broadcast_text(ranks, to_json(task.guide_config));
  told.network = broadcast_value(ranks, task.network);
  told.guide = broadcast_value(ranks, task.guide);
  broadcast_rest(ranks, told.options);
  if (leads) return told;
  read_options(JsonObject::parse(options, kWhat), told.options);
  const auto network = [&](int64_t number) {
    return networks.at(static_cast<size_t>(number)).config.network;
  };
  told.config = config_of(config, network(told.network));
  if (told.guide >= 0) told.guide_config = config_of(guide, network(told.guide));
  return told;
}

Model broadcast_network(Communicator& ranks, Network* network, const ModelConfig& config,
                        Device device) {
  const bool leads = ranks.rank() == 0;
  const auto* mixture = config.network.get<MixtureConfig>();
  const bool is_mixture = broadcast_value<int32_t>(ranks, mixture != nullptr ? 1 : 0) != 0;
  const std::string json = broadcast_text(ranks, to_json(config));
  Model model{.config = config};
  if (!leads) {
    model.config = config_of(json, is_mixture ? NetworkConfig(MixtureConfig()) : NetworkConfig());
  }
  if (is_mixture) {
    model.config.network =
        broadcast_mixture(ranks, model.config, leads ? *mixture->mixture : GaussianMixture());
  }
  if (!leads) model.network = make_network(model.config.network, device);
  for (Tensor& parameter : parameter_tensors(leads ? *network : *model.network)) {
    Tensor values = leads || parameter.device() == Device::kCpu ? parameter.to(Device::kCpu)
                                                                : Tensor(parameter.shape());
    broadcast_values(ranks, values);
    if (!leads) parameter.copy_from(values);
  }
  return model;
}

Range drawing_part(const Range& round, int rank, int ranks) {
  const Range mirrored = part_of_rank(round.count(), ranks - 1 - rank, ranks);
  return {.begin = round.end - mirrored.end, .end = round.end - mirrored.begin};
}

}  // namespace ddpm
