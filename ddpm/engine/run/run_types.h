// What a run and the program around it tell each other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ddpm/data/data_options.h"
#include "ddpm/data/pictures.h"
#include "ddpm/engine/trainer.h"

namespace ddpm {

struct RunMetrics : StepMetrics {
  double images_per_s = 0;
};

// Told of what happens, on the thread that works. Every function may be empty.
struct RunObserver {
  // A step was done; what is due after it (a save, a grid) comes next. What this throws leaves
  // step(), and the run as if it had been killed there.
  std::function<void(const RunMetrics&)> stepped;
  // A checkpoint or a sample grid is complete.
  std::function<void(const std::string& path)> saved;
  // Something went wrong that does not end the training, or was put right.
  std::function<void(const std::string& text)> warned;
  // Asked while a grid is drawn. True gives the grid up; a resumed run draws it.
  std::function<bool()> stopping;
};

// What a run asks a program for.
struct PictureRequest {
  const std::string& directory;  // the run's
  bool resumed;
  // The run's options. What is changed is stored with the run.
  DataOptions& options;
  // Of the pictures that the run was trained on so far; without entries where that is not known.
  const DataFingerprint& known;
};
using PictureLoader = std::function<std::shared_ptr<const Pictures>(const PictureRequest&)>;

// A run as it stood between two steps.
struct RunSnapshot {
  int64_t steps = 0;         // done in all, earlier sessions included
  int64_t wanted_steps = 0;  // TrainOptions::optimizer.steps
  RunMetrics metrics;        // of the last step of this session; its step is 0 before the first
  // The newest complete files of this session; empty before there are any.
  std::string checkpoint, model, samples;
};

}  // namespace ddpm
