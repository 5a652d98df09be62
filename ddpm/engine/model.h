// A trained network with everything needed to use it, and its file. The file is a safetensors file
// with the tutorial's state-dict names and the whole configuration in the metadata, so that it is
// enough for sampling.
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
  // The number of optimizer steps that made the weights. -1 if unknown.
  int64_t trained_steps = -1;
  // The file that it was loaded from.
  std::string path;
};

// path: a .safetensors file (a model, a checkpoint, or a bare state dict) or a run directory.
// given: values of fields of ModelConfig that cannot be read off a state dict
// (Field::in_state_dict), such as {{"heads", "2"}}. They must agree with a file that has metadata.
// Throws Error if the file does not exist or is damaged, and naming the tensors if tensors are
// missing, left over, of the wrong shape or not finite. Throws UsageError if `given` does not fit.
// Memory for the network is taken only after its shapes were compared with the file. On
// Device::kDry the file is checked, and the network has no weights.
Model load_model(const std::string& path, Device device = Device::kCpu,
                 const JsonObject& given = {});

// The file that load_model(path) would read. For a run directory this is its model.safetensors, or
// else its newest checkpoint.
std::string find_model_file(const std::string& path);

// Writes weights as a model file, one per parameter of the network in its order. run: the id of the
// training run, if there is one. Atomic.
void save_model(const std::string& path, const ModelConfig& config, Network& network,
                const std::vector<Tensor>& weights, int64_t trained_steps,
                const std::string& run = {});
// The step of a model file, if the file is sound and belongs to this run. Throws SystemError if the
// file exists but cannot be read.
std::optional<int64_t> step_of_model(const std::string& path, const std::string& run);

}  // namespace ddpm
