// How long the rest of a run will take. Private to engine/run/.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "ddpm/engine/train_options.h"

namespace ddpm {

// What takes time in a run: its steps, and what happens every so many steps.
enum class RunWork { kStep, kSave, kSnapshot, kPowerAverages, kGrid, kEvaluation, kValidation };

// The steps that are left are taken to be as fast as the last ones, about 50 of them. A step that
// takes more than ten times as long as their mean counts as ten times the mean: the machine may
// have stood still for once. A grid, an evaluation and a validation take as many steps' time as the
// last of their kind, because they compute too. Before the first, a forward pass over a picture is
// taken to need about a third of what a training step needs for it. What is written lasts as long
// as the last of its kind. The time of the first save is given, that of the others counts as
// nothing.
class Forecast {
 public:
  Forecast() = default;
  // What the time is computed from before there was one of a kind.
  struct Sizes {
    // How often the network is evaluated for a picture of a grid, and for one of an evaluation.
    int64_t grid = 0, evaluation = 0;
    // Pictures of a validation, and steps between two. 0 for none.
    int64_t validation = 0, validate_every = 0;
    double save_seconds = 0;
  };
  Forecast(const TrainOptions& options, const Sizes& sizes);

  void took(RunWork work, double seconds);
  // The last ones are from now on about as many as this, but at least 8.
  void average_over(int64_t steps);

  // Whether there were three steps, so that their time is known well.
  bool is_settled() const;
  // The seconds from the end of step `done` to the end of the run after step `last`. What is due
  // after step `done` is still to be done. nullopt before there were three steps.
  std::optional<double> seconds_left(int64_t done, int64_t last) const;
  // After how many more steps the run would end closest to that many seconds from now. nullopt
  // before the first step.
  std::optional<int64_t> steps_in(double seconds, int64_t done) const;

 private:
  struct Kind {
    // Steps between two; 0 for never.
    int64_t every = 0;
    // Once more after the last step.
    bool at_end = false;
    // Of the last one.
    double seconds = 0;
    // The same as a number of steps, if it computes as they do. `seconds` is then 0.
    bool computes = false;
    double steps = 0;
  };

  double seconds_per_step() const;
  double seconds_between(int64_t done, int64_t last) const;

  // By RunWork, without kStep.
  std::array<Kind, 7> kinds_;
  // The first step prepares what later steps reuse, so it counts only until the second.
  double first_ = 0;
  int64_t count_ = 0;
  double mean_ = 0, weight_ = 0;
  // The mean is over about this many steps.
  double averaged_ = 50;
};

}  // namespace ddpm
