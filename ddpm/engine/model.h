// A trained network with everything needed to use it, and its file. The file is a safetensors file
// with the tutorial's state-dict names and the whole configuration in the metadata, so that it is
// enough for sampling.
#pragma once

#include <cstdint>
#include <map>
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

// The weights of a training: their moving average, or the raw ones that the optimizer works on.
// Checkpoints hold both. All other files hold one set of weights, the average if they are of a run.
enum class WeightKind { kAverage, kRaw };

// path: as in find_model_file().
// given: values of fields of ModelConfig that cannot be read off a state dict
// (Field::in_state_dict), such as {{"heads", "2"}}. They must agree with a file that has metadata.
// Throws Error if the file does not exist or is damaged, and naming the tensors if tensors are
// missing, left over, of the wrong shape or not finite. Throws UsageError if `given` does not fit,
// and for raw weights of a file that is not a checkpoint. Memory for the network is taken only
// after its shapes were compared with the file. On Device::kDry the file is checked, and the
// network has no weights.
Model load_model(const std::string& path, Device device = Device::kCpu,
                 const JsonObject& given = {}, WeightKind weights = WeightKind::kAverage);

// The file that load_model(path) would read. path is one of these:
//   a .safetensors file   a model, a checkpoint, or a bare state dict
//   RUN                   a run directory: its model.safetensors, or else its newest checkpoint;
//                         for raw weights its newest checkpoint
//   RUN@STEP              the weights of a run after a step: its snapshot, or else its checkpoint
//   or
//                         model.safetensors of that step; for raw weights its checkpoint
// Throws Error if there is no such path, and UsageError for a step that the run does not have,
// naming the nearest that it has.
std::string find_model_file(const std::string& path, WeightKind weights = WeightKind::kAverage);

// Writes weights as a model file, one per parameter of the network in its order. run: the id of the
// training run, if there is one. more_metadata: further keys. Atomic.
void save_model(const std::string& path, const ModelConfig& config, Network& network,
                const std::vector<Tensor>& weights, int64_t trained_steps,
                const std::string& run = {},
                const std::map<std::string, std::string>& more_metadata = {});
// The step of a model file, if the file is sound and belongs to this run. Throws SystemError if the
// file exists but cannot be read.
std::optional<int64_t> step_of_model(const std::string& path, const std::string& run);

}  // namespace ddpm
