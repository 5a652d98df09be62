// The table of weightings. Each is a function and a row.
#include "ddpm/diffusion/weighting.h"

#include <algorithm>
#include <cmath>

#include "ddpm/base/named_rows.h"
#include "ddpm/diffusion/objective.h"

namespace ddpm {
namespace {

// Hang et al. 2023 (arXiv:2303.09556).
double min_snr(double snr, double, const WeightingOptions& options) {
  return std::min(snr, options.gamma);
}

// Crowson et al. 2024 (arXiv:2401.11605): 1 / (sigma^2 + 1 / gamma) for alpha = 1. gamma 4 is their
// sigma_data of 0.5.
double soft_min_snr(double snr, double, const WeightingOptions& options) {
  return 1 / (1 / snr + 1 / options.gamma);
}

// Karras et al. 2022 (arXiv:2206.00364), table 1: (sigma^2 + sigma_data^2) / (sigma sigma_data)^2.
double edm(double snr, double, const WeightingOptions&) {
  return snr + 1 / (kSigmaData * kSigmaData);
}

// Kingma & Gao 2023 (arXiv:2303.00848) and Hoogeboom et al. 2024 (arXiv:2410.19324): the loss is
// half the integral over log SNR of sigmoid(bias - log SNR) times the error of the noise, whatever
// distribution the levels are drawn from. An error of the image is one of the noise times SNR.
double sigmoid(double snr, double inverse_density, const WeightingOptions& options) {
  if (snr == 0) return 0;
  return inverse_density / 2 / (std::exp(-options.bias) + 1 / snr);
}

}  // namespace

const std::vector<WeightingKind>& weighting_kinds() {
  static const std::vector<WeightingKind> kinds = {
      {.name = "none", .of_image = nullptr},
      {.name = "min-snr", .of_image = min_snr, .uses_gamma = true, .zero_without_image = true},
      {.name = "soft-min-snr",
       .of_image = soft_min_snr,
       .uses_gamma = true,
       .zero_without_image = true},
      {.name = "edm", .of_image = edm},
      {.name = "sigmoid", .of_image = sigmoid, .uses_density = true, .zero_without_image = true},
  };
  return kinds;
}

std::vector<std::string> weighting_names() { return names_of(weighting_kinds()); }

const WeightingKind& find_weighting(std::string_view name) {
  return find_by_name(weighting_kinds(), name, "process", "weighting");
}

}  // namespace ddpm
