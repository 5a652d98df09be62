// A trained network with all that is needed to use it, and its file: safetensors with the
// tutorial's state-dict names and the whole configuration in the metadata, so that the file alone
// is enough to sample.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/base/json.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/tensor/tensor.h"

namespace ddpm {

class Network;

struct Model {
  ModelConfig config;
  std::shared_ptr<Network> network;
  // Optimizer steps behind the weights, -1 where unknown.
  int64_t trained_steps = -1;
  // The file it came from.
  std::string path;
};

// path: a .safetensors file (a model, a checkpoint, or a bare state dict) or a run directory.
// given: values of fields of ModelConfig that no state dict tells (Field::in_state_dict), such as
// {{"heads", "2"}}; they also win over what a file with metadata says. Throws Error where there is
// no such file, where it is damaged, where tensors are missing, left over or of the wrong shape,
// and where a value is not finite, naming them; UsageError where `given` does not fit. Memory for
// the network is taken only when its shapes are those of the file. On Device::kDry the file is
// checked and the network has no weights.
Model load_model(const std::string& path, Device device = Device::kCpu,
                 const JsonObject& given = {});

// The file load_model(path) would read: for a run directory its model.safetensors, or else its
// newest checkpoint.
std::string find_model_file(const std::string& path);

// Writes weights, one per parameter of the network in its order, as a model file. run: the id of
// the training run, where there is one. Atomic.
void save_model(const std::string& path, const ModelConfig& config, Network& network,
                const std::vector<Tensor>& weights, int64_t trained_steps,
                const std::string& run = {});
// The step of a model file where it is sound and of this run. Throws SystemError where it is there
// but cannot be read.
std::optional<int64_t> step_of_model(const std::string& path, const std::string& run);

}  // namespace ddpm
