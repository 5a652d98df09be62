// What a training with a budget of time should be: the network, the batch, the averages, and how
// often something is saved. docs/recipes.md has the measurements behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/engine/train_options.h"

namespace ddpm {

struct PlanRequest {
  // The wall time of the training.
  double seconds = 0;
  // The number of pictures that it learns from.
  int64_t pictures = 0;
  // Whether the user has chosen this field of TrainOptions. It then keeps its value.
  std::function<bool(std::string_view field)> chosen;
};

struct TrainingPlan {
  TrainOptions options;
  // Sentences for the user: what was chosen, and why.
  std::vector<std::string> reasons;
};

// Returns the seconds of a training step of this network.
using StepTimer = std::function<double(const ModelConfig&, const OptimizerOptions&)>;

// Does a few steps on noise with all threads, and returns the time of the fastest.
double measure_step(const ModelConfig& config, const OptimizerOptions& options);

// `model` is TrainOptions::model_config() of `options` and the pictures, with their classes. Takes
// the largest network of network_sizes() that sees enough pictures in the time, and of which a
// step fits into the memory. A network of another
// family, or one that the user chose, stays. Throws UsageError if not even one step fits into the
// time.
TrainingPlan plan_training(const TrainOptions& options, const ModelConfig& model,
                           const PlanRequest& request, const StepTimer& timer = measure_step);

}  // namespace ddpm
