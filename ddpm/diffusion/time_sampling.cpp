#include "ddpm/diffusion/time_sampling.h"

#include <fmt/core.h>

#include <algorithm>

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

}  // namespace

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
