// A trained network with all that is needed to use it, and its file: safetensors with the
// tutorial's state-dict names and the whole configuration in the metadata, so that the file alone
// is enough to sample.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/diffusion/schedule.h"
#include "ddpm/nn/unet.h"

namespace ddpm {

// The largest numbers that flags and files may hold.
inline constexpr int64_t kMostBatch = int64_t{1} << 20;
inline constexpr int64_t kMostTrainedSteps = int64_t{1} << 40;

struct ModelConfig {
  UnetConfig network;
  int64_t height = 0;  // of the images it was trained on, 0 where unknown
  int64_t width = 0;
  std::string schedule = "linear";
  int64_t timesteps = 1000;

  void fields(Fields& field) {
    network.fields(field);
    field("height", height, "height of the images in pixels");
    field("width", width, "width of the images in pixels");
    field("schedule", schedule, "noise schedule");
    field("timesteps", timesteps, "steps of the noise schedule");
  }

  // Throws UsageError naming the value and its range where a network cannot be like this, whether
  // flags say it or a file.
  void check() const;
};

// What a file without metadata (a bare state dict of the tutorial's network) does not tell; set
// values also win over what a file with metadata says.
struct ModelOverrides {
  std::optional<int64_t> groups;  // 4 where nothing tells
  std::optional<int64_t> heads;   // 4 where nothing tells
  std::optional<double> weight_standardization_eps;
  std::optional<std::string> schedule;
  std::optional<int64_t> timesteps;

  bool any() const {
    return groups || heads || weight_standardization_eps || schedule || timesteps;
  }
};

struct Model {
  ModelConfig config;
  std::unique_ptr<DiffusionUnet> network;
  int64_t trained_steps = -1;  // optimizer steps behind the weights, -1 where unknown
  std::string path;            // the file it came from
};

// path: a .safetensors file (a model, a checkpoint, or a bare state dict) or a run directory.
// Throws Error where there is none, where it is damaged, where tensors are missing, left over or of
// the wrong shape, and where a value is not finite, naming them. Memory for the network is taken
// only when its shapes are those of the file. On Device::kDry the file is checked and the network
// has no weights.
Model load_model(const std::string& path, Device device = Device::kCpu,
                 const ModelOverrides& overrides = {});

// The file load_model(path) would read: for a run directory its model.safetensors, or else its
// newest checkpoint.
std::string find_model_file(const std::string& path);

// Writes weights, one per parameter of the network in its order, as a model file. run: the id of
// the training run, where there is one. Atomic.
void save_model(const std::string& path, const ModelConfig& config, DiffusionUnet& network,
                const std::vector<Tensor>& weights, int64_t trained_steps,
                const std::string& run = {});
// The step of a model file where it is sound and of this run. Throws SystemError where it is there
// but cannot be read.
std::optional<int64_t> step_of_model(const std::string& path, const std::string& run);

// The configuration as one JSON object and back.
std::string to_json(const ModelConfig& config, int indent = -1);
ModelConfig model_config_from_json(std::string_view json, std::string_view what);

}  // namespace ddpm
