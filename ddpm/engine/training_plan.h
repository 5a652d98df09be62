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
  // The wall time that is left for the training.
  double seconds = 0;
  // The number of pictures that it learns from.
  int64_t pictures = 0;
  // How many ranks share each batch.
  int64_t ranks = 1;
  // Whether the user has chosen this field of TrainOptions. It then keeps its value.
  std::function<bool(std::string_view field)> chosen;
  // Asked between the steps that are timed. True ends the planning with what is known by then.
  std::function<bool()> stopping;
};

struct TrainingPlan {
  TrainOptions options;
  // Sentences for the user: what was chosen, and why.
  std::vector<std::string> reasons;
};

// For how long a timer may go on.
struct TimerLimit {
  double seconds = 0;
  std::function<bool()> stopping;
};
// Returns the seconds of a training step of this network.
using StepTimer =
    std::function<double(const ModelConfig&, const OptimizerOptions&, const TimerLimit&)>;

// Does a few steps on black pictures with all threads, and returns their mean time. First it does
// one of Adam on a few pictures. If that shows that the steps would take longer than the limit, the
// result is the time of these pictures, multiplied.
double measure_step(const ModelConfig& config, const OptimizerOptions& options,
                    const TimerLimit& limit);

// `model` is TrainOptions::model_config() of `options` and the pictures, with their classes. Takes
// the largest network of network_sizes() that sees enough pictures in the time, and of which a step
// fits into the memory. A network of a family without sizes stays, and one that the user chose.
// Throws UsageError if not even one step fits into the time.
TrainingPlan plan_training(const TrainOptions& options, const ModelConfig& model,
                           const PlanRequest& request, const StepTimer& timer = measure_step);

}  // namespace ddpm
