// What the output of a network means. Training and sampling go through this alone, so that network,
// objective and sampler can be combined freely, as in Karras et al. 2022 (arXiv:2206.00364).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/level.h"

namespace ddpm {

// How the network is used at one level, where x = alpha x0 + sigma noise:
//   output = network(c_in x, t)
//   target = target_x0 x0 + target_noise noise   what the output is trained towards
//   x0     = c_skip x + c_out output             the estimate of the image
// The last two fit together: an output that is the target gives x0 exactly.
struct Preconditioning {
  double c_in = 1;
  double target_x0 = 0;
  double target_noise = 0;
  double c_skip = 0;
  double c_out = 0;
  // Of the image in the mean loss.
  double weight = 1;
};

// Which levels a network of this objective is trained and sampled on.
enum class ProcessKind {
  // The time steps of a schedule, alpha^2 + sigma^2 = 1 (Ho et al. 2020).
  kScheduled,
  // Noise added to an image that keeps its size, alpha = 1 (Karras et al. 2022).
  kEdm,
  // The line from image to noise, alpha = 1 - t and sigma = t (Liu et al. 2022, arXiv:2209.03003).
  kFlow,
};

// One row of the table of objectives, which also feeds help and error messages.
struct ObjectiveKind {
  const char* name;
  const char* help;
  ProcessKind process;
  Preconditioning (*at)(const NoiseLevel& level);
};
const std::vector<ObjectiveKind>& objective_kinds();
std::vector<std::string> objective_names();
// Throws UsageError naming the choices.
const ObjectiveKind& find_objective(std::string_view name);

}  // namespace ddpm
