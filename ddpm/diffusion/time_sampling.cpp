#include "ddpm/diffusion/time_sampling.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/objective.h"

namespace ddpm {
namespace {

struct NamedSampling {
  const char* name;
  TimeSampling sampling;
};
// The first of each kind of process is its default.
std::vector<NamedSampling> samplings_of(ProcessKind kind) {
  switch (kind) {
    case ProcessKind::kScheduled:
      break;
    case ProcessKind::kEdm:
      return {{"log-normal", TimeSampling::kLogNormal}};
    case ProcessKind::kFlow:
      return {{"uniform", TimeSampling::kUniform}, {"logit-normal", TimeSampling::kLogitNormal}};
  }
  return {{"uniform", TimeSampling::kUniform}};
}

// The lower tail, q <= 1/2: the approximation of Abramowitz & Stegun 1964, 26.2.23, which is off by
// at most 4.5e-4, and then Halley's method for the distribution function.
double lower_quantile(double q) {
  const double t = std::sqrt(-2 * std::log(q));
  double z = (2.515517 + t * (0.802853 + t * 0.010328)) /
                 (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) -
             t;
  for (int i = 0; i < 3; ++i) {
    const double error = std::erfc(-z / std::numbers::sqrt2) / 2 - q;
    const double newton = error / normal_density(z);
    z -= newton / (1 + z * newton / 2);
  }
  return z;
}

}  // namespace

double normal_density(double z) { return std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi); }

double normal_quantile(double q) {
  DDPM_CHECK(q > 0 && q < 1);
  return q <= 0.5 ? lower_quantile(q) : -lower_quantile(1 - q);
}

std::vector<std::string> time_sampling_names() {
  return {"auto", "uniform", "log-normal", "logit-normal"};
}

TimeSampling find_time_sampling(std::string_view name, std::string_view objective) {
  const std::vector<NamedSampling> fitting = samplings_of(find_objective(objective).process);
  if (name == "auto") return fitting.front().sampling;
  std::vector<std::string> names;
  for (const NamedSampling& one : fitting) {
    if (one.name == name) return one.sampling;
    names.emplace_back(one.name);
  }
  const std::vector<std::string> known = time_sampling_names();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    fail_usage("process",
               fmt::format("there is no time sampling '{}'; choose {}", name, join_choices(known)));
  }
  fail_usage("process", fmt::format("the time sampling {} does not fit the objective {}; choose {}",
                                    name, objective, join_choices(names)));
}

}  // namespace ddpm
