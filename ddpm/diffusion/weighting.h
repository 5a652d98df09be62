// How much each level of noise counts in the loss. A weighting is given for the error of the
// *image*, so that it means the same for every objective: an error of the output counts c_out^2
// times as much, since the image is c_skip x + c_out output.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

struct WeightingOptions {
  // Of min-snr and soft-min-snr.
  double gamma = 5;
  // Of sigmoid.
  double bias = 2;
};

// One row of the table of weightings.
struct WeightingKind {
  const char* name;
  // The weight of a squared error of the image at a level with this SNR = alpha^2 / sigma^2, which
  // may be 0. inverse_density is Process::inverse_density() if `uses_density`, and 0 otherwise.
  // Null if every level counts as its objective says.
  double (*of_image)(double snr, double inverse_density, const WeightingOptions& options);
  bool uses_gamma = false;
  bool uses_density = false;
  // Whether levels of noise alone have the weight 0 for the objectives x0 and v.
  bool zero_without_image = false;
};
const std::vector<WeightingKind>& weighting_kinds();
std::vector<std::string> weighting_names();
// Throws UsageError naming the choices.
const WeightingKind& find_weighting(std::string_view name);

}  // namespace ddpm
