// The flags of ddpm sample, for the files that implement it.
#pragma once

#include <cstdint>
#include <string>

#include "apps/cli/common.h"
#include "apps/cli/guide_flags.h"
#include "ddpm/engine/generator.h"

namespace ddpm::cli {

struct SampleFlags {
  ModelFlags model;
  GuideFlags guide;
  Machine machine;
  GenerateOptions generate;
  std::string size, classes, input;
  // Of the outputs, empty for those that are not wanted.
  std::string out, each, trajectory, tensors;
  // A picture to make again, and a file of recorded noise.
  std::string like, noise;
  int64_t columns = 0;
  int64_t scale = 0;
  bool overwrite = false;
  bool every_step = false;

  bool makes_pictures() const { return !out.empty() || !each.empty() || !trajectory.empty(); }
};

}  // namespace ddpm::cli
