// The distribution of the levels of noise in training.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

enum class TimeSampling {
  // Evenly over the time steps, or over t of rectified flow.
  kUniform,
  // ln sigma is normal with mean -1.2 and deviation 1.2 (Karras et al. 2022, table 1).
  kLogNormal,
  // ln(t / (1 - t)) is standard normal (Esser et al. 2024, arXiv:2403.03206, section 3.1).
  kLogitNormal,
};
// The names for flags and files. "auto" is the distribution of the objective's paper.
std::vector<std::string> time_sampling_names();
// Finds the distribution by its name and the name of the objective. Throws UsageError if there is
// none, or if the two do not fit together.
TimeSampling find_time_sampling(std::string_view name, std::string_view objective);

// The density of the standard normal distribution, and its quantile function for 0 < q < 1. The
// relative error of the quantile is below 1e-14 outside a neighbourhood of 1/2.
double normal_density(double z);
double normal_quantile(double q);

}  // namespace ddpm
