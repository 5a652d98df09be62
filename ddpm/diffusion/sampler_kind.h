// The table of samplers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/tensor/tensor.h"

namespace ddpm {

class SampleLoop;

// One row of the table of samplers. Help and error messages also use it.
struct SamplerKind {
  const char* name;
  const char* help;
  Tensor (*run)(SampleLoop& loop);
  // The number of evaluations if the request does not give one. 0: as many as there are time steps.
  int64_t default_steps;
  // The spacing for a process with a schedule if the request does not give one.
  const char* spacing;
  // The highest order, and the one of a request without. 0 if there is no choice.
  int64_t most_order = 0;
  int64_t default_order = 0;
  // The noise that a request without eta adds. Empty if the sampler has no eta.
  std::optional<double> eta = {};
  // Adds noise between the levels whatever eta says.
  bool always_noisy = false;
  bool has_churn = false;
  // Evaluates the network twice in each step, but once in the last and in one from noise alone.
  bool two_evaluations = false;
  // Whether spacings of time steps include the first one; see SpacingRequest::with_first.
  bool with_first = true;
  // Whether a scheduled process starts from sigma times noise, as in k-diffusion, and not from
  // noise of variance 1.
  bool starts_at_sigma = false;
};

// The table of samplers.
const std::vector<SamplerKind>& sampler_kinds();
std::vector<std::string> sampler_names();
// The best in few evaluations; see docs/samplers.md.
inline constexpr const char* kDefaultSampler = "dpmpp-2m-sde";
// Throws UsageError naming the choices.
const SamplerKind& find_sampler(std::string_view name);

}  // namespace ddpm
