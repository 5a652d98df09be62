// Everything needed to build a network and to sample from it. A model file holds this in addition
// to the weights.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/process_config.h"
#include "ddpm/diffusion/sampler_options.h"
#include "ddpm/nn/network_config.h"

namespace ddpm {

// The largest numbers that flags and files may contain.
inline constexpr int64_t kMostBatch = int64_t{1} << 20;
inline constexpr int64_t kLargestSide = 16384;
inline constexpr int64_t kMostTrainedSteps = int64_t{1} << 40;

struct ModelConfig {
  NetworkConfig network;
  // Height and width of the training images in pixels. 0 if unknown.
  int64_t height = 0;
  int64_t width = 0;
  // What the network is shown besides the noisy image: "none", "downscale:4", "grey" or "pairs", as
  // ImageCondition::name() of data/condition.h.
  std::string condition = "none";
  // How pictures of other proportions got the size: "cover", "contain" or "pad", as in
  // data/resize.h.
  std::string fit = "cover";
  // Their colour behind transparent pixels and in borders, as in parse_colour() of data/pixels.h.
  std::string background = "white";
  ProcessConfig process;
  // A name for each class that the network is told; empty where they are only numbered.
  std::vector<std::string> class_names = {};
  // The number of pictures of each class in the training. Empty if unknown.
  std::vector<int64_t> class_counts = {};
  // From `ddpm tune`. Empty if the model was not tuned.
  TunedLevels tuned = {};

  // The name of a class of the network: "#3" where it has none, "none" for -1.
  std::string class_name(int64_t label) const;
  // The network's label of each of these classes, such as those of a set of pictures. -1 where it
  // has no class of that name.
  std::vector<int64_t> labels_of_classes(const std::vector<std::string>& names) const;

  void fields(Fields& field);

  // Throws UsageError naming the value and its range if no network can have this configuration. The
  // values may come from flags or from a file.
  void check() const;
};

// Writes the configuration as one JSON object, and reads it. Throws Error naming `what` (such as a
// path) if the JSON is damaged.
std::string to_json(const ModelConfig& config, int indent = -1);
// Members that the JSON does not name keep their value of `start`.
ModelConfig model_config_from_json(std::string_view json, std::string_view what,
                                   ModelConfig start = {});

}  // namespace ddpm
