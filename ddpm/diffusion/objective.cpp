// The table of objectives. Each objective is a function and a row.
#include "ddpm/diffusion/objective.h"

#include <cmath>

#include "ddpm/base/named_rows.h"

namespace ddpm {
namespace {

Preconditioning noise_at(const NoiseLevel& level) {
  return {.target_noise = 1,
          .c_skip = 1 / level.alpha(),
          .c_out = -std::sqrt(level.sigma_squared / level.alpha_squared)};
}

Preconditioning image_at(const NoiseLevel&) { return {.target_x0 = 1, .c_out = 1}; }

// Salimans & Ho 2022 (arXiv:2202.00512), for alpha^2 + sigma^2 = 1.
Preconditioning velocity_at(const NoiseLevel& level) {
  return {.target_x0 = -level.sigma(),
          .target_noise = level.alpha(),
          .c_skip = level.alpha(),
          .c_out = -level.sigma()};
}

// Karras et al. 2022, table 1. The target (x0 - c_skip x) / c_out is written without differences of
// nearly equal numbers. Its weight in the loss is 1 at every level.
Preconditioning edm_at(const NoiseLevel& level) {
  const double sigma = level.sigma();
  const double total = std::sqrt(level.sigma_squared + kSigmaData * kSigmaData);
  return {.c_in = 1 / total,
          .target_x0 = sigma / (kSigmaData * total),
          .target_noise = -kSigmaData / total,
          .c_skip = kSigmaData * kSigmaData / (total * total),
          .c_out = sigma * kSigmaData / total};
}

// The target is noise - x0, the velocity along the line, and x0 = x - t velocity.
Preconditioning flow_at(const NoiseLevel& level) {
  return {.target_x0 = -1, .target_noise = 1, .c_skip = 1, .c_out = -level.sigma()};
}

}  // namespace

const std::vector<ObjectiveKind>& objective_kinds() {
  static const std::vector<ObjectiveKind> kinds = {
      {"eps", "the noise (Ho et al. 2020)", ProcessKind::kScheduled, noise_at},
      {"x0", "the image without its noise", ProcessKind::kScheduled, image_at},
      {"v", "alpha noise - sigma image, steady at every level (Salimans & Ho 2022)",
       ProcessKind::kScheduled, velocity_at},
      {"edm", "image and noise mixed by level, sigma continuous (Karras et al. 2022)",
       ProcessKind::kEdm, edm_at},
      {"flow", "the velocity from image to noise on a straight line (Liu et al. 2022)",
       ProcessKind::kFlow, flow_at},
  };
  return kinds;
}

std::vector<std::string> objective_names() { return names_of(objective_kinds()); }

const ObjectiveKind& find_objective(std::string_view name) {
  return find_by_name(objective_kinds(), name, "objective", "objective");
}

}  // namespace ddpm
