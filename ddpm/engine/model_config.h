// All that is needed to build a network and to sample from it: what a model file holds beside the
// weights.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ddpm/diffusion/process_config.h"
#include "ddpm/nn/network_config.h"

namespace ddpm {

// The largest numbers that flags and files may hold.
inline constexpr int64_t kMostBatch = int64_t{1} << 20;
inline constexpr int64_t kLargestSide = 16384;
inline constexpr int64_t kMostTrainedSteps = int64_t{1} << 40;

struct ModelConfig {
  NetworkConfig network;
  // Sides of the images it was trained on in pixels, 0 where unknown.
  int64_t height = 0;
  int64_t width = 0;
  ProcessConfig process;

  void fields(Fields& field);

  // Throws UsageError naming the value and its range where no network can be like this, whether
  // flags say it or a file.
  void check() const;
};

// The configuration as one JSON object and back. Throws Error naming `what` (a path, say) where the
// JSON is damaged.
std::string to_json(const ModelConfig& config, int indent = -1);
ModelConfig model_config_from_json(std::string_view json, std::string_view what);

}  // namespace ddpm
