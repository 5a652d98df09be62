// How long the rest of a run will take. Private to engine/run/.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "ddpm/engine/train_options.h"

namespace ddpm {

// What takes time in a run: its steps, and what happens every so many steps.
enum class RunWork { kStep, kSave, kSnapshot, kPowerAverages, kGrid, kEvaluation, kValidation };

// The steps that are left are taken to be as fast as the last ones, about 50 of them. Everything
// else is taken to last as long as the last of its kind. Before the first grid, evaluation and
// validation, their time is computed from that of a step: a forward pass over a picture takes about
// a third of what a training step takes for it. The rest counts as nothing before the first of its
// kind.
class Forecast {
 public:
  Forecast() = default;
  // network_passes: how often the network is evaluated for a picture of a grid, and for one of an
  // evaluation.
  struct Passes {
    int64_t grid = 0, evaluation = 0;
    // Pictures of a validation, and steps between two. 0 for none.
    int64_t validation = 0, validate_every = 0;
  };
  Forecast(const TrainOptions& options, const Passes& network_passes);

  void took(RunWork work, double seconds);

  // The seconds from the end of step `done` to the end of the run. What is due after that step is
  // still to be done. nullopt before there were three steps.
  std::optional<double> seconds_left(int64_t done) const;

 private:
  struct Kind {
    // Steps between two; 0 for never.
    int64_t every = 0;
    // Once more after the last step.
    bool at_end = false;
    // Of the last one, or computed from the time of a step.
    std::optional<double> seconds;
    double steps = 0;
  };

  int64_t all_steps_ = 0;
  // By RunWork, without kStep.
  std::array<Kind, 7> kinds_;
  // Of all steps but the first, which prepares what later steps reuse.
  int64_t count_ = 0;
  double sum_ = 0, weight_ = 0;
};

}  // namespace ddpm
