// ddpm train: a training with its output for the user. train.cpp has its flags.
#pragma once

#include <chrono>
#include <string>

#include "ddpm/engine/run/run.h"

namespace ddpm::cli {

// The flags about the run.
struct RunRequest {
  std::string directory;
  // A new run learns the classes of its pictures if there are some that are worth it.
  bool usable_classes = false;
  // --label-dropout is given.
  bool drops_labels = false;
  // Continue the existing run.
  bool resume = false;
  // A resumed run may continue with other pictures.
  bool accept_changed_data = false;
  // When the program began with it.
  std::chrono::steady_clock::time_point begin;
};

void warn_of_idle_label_dropout();

// Trains until all steps are done or a signal asks to stop. Returns the exit status. A planner that
// throws Interrupted ends it like such a signal.
int train(const TrainOptions& options, const RunRequest& request, RunPlanner planner);

// On rank 1, 2, ...: takes part in what rank 0 trains. The directory is for messages only.
int serve_training(const std::string& directory);

}  // namespace ddpm::cli
