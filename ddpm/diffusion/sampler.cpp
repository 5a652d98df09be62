// The table of samplers. sample() checks a request and runs the sampler that it names.
#include "ddpm/diffusion/sampler.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/named_rows.h"
#include "ddpm/diffusion/samplers/loop.h"

namespace ddpm {

// Each sampler is defined in samplers/<name>.cpp.
SamplerKind ddpm_sampler();
SamplerKind ddim_sampler();
SamplerKind ipndm_sampler();

const std::vector<SamplerKind>& sampler_kinds() {
  static const std::vector<SamplerKind> kinds = {ddpm_sampler(), ddim_sampler(), ipndm_sampler()};
  return kinds;
}

std::vector<std::string> sampler_names() { return names_of(sampler_kinds()); }

const SamplerKind& find_sampler(std::string_view name) {
  return find_by_name(sampler_kinds(), name, "sample", "sampler");
}

void check_eta(const SamplerKind& kind, double eta) {
  if (!(eta >= 0 && eta <= 1)) {
    fail_usage("sample", fmt::format("eta is {}; it must lie between 0 and 1", eta));
  }
  if (eta != 0 && !kind.has_eta) {
    std::vector<std::string> with_eta;
    for (const SamplerKind& other : sampler_kinds()) {
      if (other.has_eta) with_eta.emplace_back(other.name);
    }
    fail_usage("sample",
               fmt::format("eta is {}, but the sampler {} has none; use 0, or the sampler {}", eta,
                           kind.name, join_choices(with_eta)));
  }
}

int64_t sampling_steps(const SamplerKind& kind, const Process& process,
                       std::optional<int64_t> asked) {
  const int64_t all = process.most_steps();
  const int64_t usual = kind.default_steps == 0 ? all : std::min(kind.default_steps, all);
  const int64_t steps = asked.value_or(usual);
  if (steps < 1 || steps > all) {
    fail_usage("sample", fmt::format("{} steps; this model was trained with {}, choose 1 to {}",
                                     steps, all, all));
  }
  return steps;
}

Tensor sample(const Process& process, const Denoiser& network, const SampleRequest& request) {
  const SamplerKind& kind = find_sampler(request.sampler);
  check_eta(kind, request.eta);
  if (request.image.rank() != 3 || request.image.elements() < 1) {
    fail_usage("sample", fmt::format("the image has the shape {}; it must be [height, width, "
                                     "channels], each at least 1",
                                     request.image.str()));
  }
  if (request.image_seeds.empty()) fail_usage("sample", "no images; at least 1 seed is needed");
  SampleLoop loop(process, process.steps(sampling_steps(kind, process, request.steps)), network,
                  request);
  return kind.run(loop);
}

}  // namespace ddpm
