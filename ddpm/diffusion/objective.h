// The meaning of a network's output. Only this table defines it, for training and for sampling, so
// network, objective and sampler can be combined freely, as in Karras et al. 2022
// (arXiv:2206.00364).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ddpm/diffusion/level.h"

namespace ddpm {

// The standard deviation of the data that EDM assumes (Karras et al. 2022, table 1).
inline constexpr double kSigmaData = 0.5;

// How the network is used at one level, where x = alpha x0 + sigma noise:
//   output = network(c_in x, t)
//   target = target_x0 x0 + target_noise noise   the output that training aims at
//   x0     = c_skip x + c_out output             the estimate of the image
// The last two are consistent: if the output equals the target, the estimate is exactly x0.
struct Preconditioning {
  double c_in = 1;
  double target_x0 = 0;
  double target_noise = 0;
  double c_skip = 0;
  double c_out = 0;
  // The weight of the image in the mean loss.
  double weight = 1;
};

// The kind of levels that a network of this objective is trained and sampled on.
enum class ProcessKind {
  // The time steps of a schedule, alpha^2 + sigma^2 = 1 (Ho et al. 2020).
  kScheduled,
  // Noise is added to an image that is not scaled, alpha = 1 (Karras et al. 2022).
  kEdm,
  // The line from image to noise, alpha = 1 - t and sigma = t (Liu et al. 2022, arXiv:2209.03003).
  kFlow,
};

// One row of the table of objectives. Help and error messages also use it.
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
