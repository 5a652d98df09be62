// The forward process that a network was trained on: which levels of noise there are, and what the
// network's output means at each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddpm/base/options.h"
#include "ddpm/base/philox.h"
#include "ddpm/diffusion/level.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/schedule.h"

namespace ddpm {

struct ProcessConfig {
  std::string schedule = "linear";
  int64_t timesteps = 1000;
  std::string objective = "eps";

  void fields(Fields& field) {
    field.group("The process");
    field("schedule", schedule, "how noise grows over the time steps")
        .choices("schedule", schedule_names())
        .not_in_state_dict();
    field("timesteps", timesteps, "time steps of the noise schedule")
        .range(1, kMostTimesteps)
        .not_in_state_dict();
    field("objective", objective, "what the network learns to predict")
        .choices("objective", objective_names())
        .not_in_state_dict();
  }
};

// Immutable; cheap to copy beside a network.
class Process {
 public:
  // Throws UsageError for names that are in no table and for impossible numbers of time steps.
  explicit Process(const ProcessConfig& config);

  Preconditioning preconditioning(const NoiseLevel& level) const { return objective_.at(level); }

  // The level on which a picture is trained: uniform over the time steps, the same for the same
  // position of a stream of random numbers.
  NoiseLevel draw(const Philox& random, uint64_t position) const;

  // What sampling in `count` steps walks, from the most noise to the image: each step begins where
  // the one before ended. Throws UsageError unless 1 <= count <= most_steps().
  std::vector<NoiseStep> steps(int64_t count) const;
  int64_t most_steps() const { return schedule_.steps(); }

 private:
  ObjectiveKind objective_;
  Schedule schedule_;
};

}  // namespace ddpm
