// The forward process that a network was trained on: which levels of noise there are, and what the
// network's output means at each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/diffusion/level.h"
#include "ddpm/diffusion/process_config.h"

namespace ddpm {

class Philox;
struct ObjectiveKind;
struct Preconditioning;

// The levels of one kind of process.
class ProcessLevels;

// Immutable; cheap to copy beside a network.
class Process {
 public:
  // Throws UsageError for names that are in no table and for impossible numbers of time steps.
  explicit Process(const ProcessConfig& config);

  // How the network is used at a level.
  Preconditioning preconditioning(const NoiseLevel& level) const;

  // The level on which a picture is trained, the same for the same position of a stream of random
  // numbers.
  NoiseLevel draw(const Philox& random, uint64_t position) const;

  // What sampling in `count` steps walks, from the most noise to the image: each step begins where
  // the one before ended. Throws UsageError unless 1 <= count <= most_steps().
  std::vector<NoiseStep> steps(int64_t count) const;
  // The time steps of the configuration, also of a process whose levels are continuous.
  int64_t most_steps() const { return most_steps_; }
  // What standard normal noise is multiplied by to be x at the level that sampling starts from.
  double start_scale(const NoiseLevel& first) const;

 private:
  const ObjectiveKind* objective_;
  int64_t most_steps_;
  std::shared_ptr<const ProcessLevels> levels_;
};

}  // namespace ddpm
