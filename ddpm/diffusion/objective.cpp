// The table of objectives: one function and one row each.
#include "ddpm/diffusion/objective.h"

#include <fmt/core.h>

#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"

namespace ddpm {
namespace {

Preconditioning noise_at(const NoiseLevel& level) {
  return {.target_noise = 1,
          .c_skip = 1 / level.alpha(),
          .c_out = -std::sqrt(level.sigma_squared / level.alpha_squared)};
}

Preconditioning image_at(const NoiseLevel&) { return {.target_x0 = 1, .c_out = 1}; }

}  // namespace

const std::vector<ObjectiveKind>& objective_kinds() {
  static const std::vector<ObjectiveKind> kinds = {
      {"eps", "the noise (Ho et al. 2020)", noise_at},
      {"x0", "the image without its noise", image_at},
  };
  return kinds;
}

std::vector<std::string> objective_names() {
  std::vector<std::string> names;
  for (const ObjectiveKind& kind : objective_kinds()) names.emplace_back(kind.name);
  return names;
}

const ObjectiveKind& find_objective(std::string_view name) {
  for (const ObjectiveKind& kind : objective_kinds()) {
    if (kind.name == name) return kind;
  }
  fail_usage("objective", fmt::format("there is no objective '{}'; choose {}", name,
                                      join_choices(objective_names())));
}

}  // namespace ddpm
