// The table of samplers. sample() checks a request and runs the sampler that it names.
#include "ddpm/diffusion/sampler.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/named_rows.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/samplers/loop.h"
#include "ddpm/diffusion/spacing.h"

namespace ddpm {

// Each sampler is defined in samplers/.
SamplerKind ddpm_sampler();
SamplerKind ddim_sampler();
SamplerKind ipndm_sampler();
SamplerKind dpmpp_2m_sampler();
SamplerKind dpmpp_3m_sampler();
SamplerKind dpmpp_2m_sde_sampler();
SamplerKind unipc_sampler();
SamplerKind heun_sampler();
SamplerKind euler_sampler();
SamplerKind euler_ancestral_sampler();

const std::vector<SamplerKind>& sampler_kinds() {
  static const std::vector<SamplerKind> kinds = {
      ddpm_sampler(),     ddim_sampler(),           ipndm_sampler(), dpmpp_2m_sampler(),
      dpmpp_3m_sampler(), dpmpp_2m_sde_sampler(),   unipc_sampler(), heun_sampler(),
      euler_sampler(),    euler_ancestral_sampler()};
  return kinds;
}

std::vector<std::string> sampler_names() { return names_of(sampler_kinds()); }

const SamplerKind& find_sampler(std::string_view name) {
  return find_by_name(sampler_kinds(), name, "sample", "sampler");
}

namespace {

std::string spacing_for(const SamplerKind& kind, const SamplerOptions& options,
                        const Process& process) {
  if (options.spacing != "auto") return options.spacing;
  if (process.kind() == ProcessKind::kEdm) return "karras";
  return process.kind() == ProcessKind::kFlow ? "trailing" : kind.spacing;
}

// The steps in which a sampler makes so many evaluations.
int64_t levels_for(const SamplerKind& kind, int64_t evaluations) {
  return kind.two_evaluations ? (evaluations + 1) / 2 : evaluations;
}

}  // namespace

int64_t sampling_evaluations(const SamplerOptions& options, const Process& process) {
  const SamplerKind& kind = find_sampler(options.sampler);
  const int64_t all = process.most_steps();
  const int64_t most = kind.two_evaluations ? 2 * all - 1 : all;
  const int64_t usual = kind.default_steps == 0 ? most : std::min(kind.default_steps, most);
  const int64_t evaluations = options.steps == 0 ? usual : options.steps;
  if (evaluations < 1 || evaluations > most) {
    fail_usage("sample", fmt::format("{} evaluations with the sampler {}; this model was trained "
                                     "with {} time steps, choose 1 to {}",
                                     evaluations, kind.name, all, most));
  }
  return kind.two_evaluations ? 2 * levels_for(kind, evaluations) - 1 : evaluations;
}

std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options, const Process& process,
                                        const std::vector<double>& tuned) {
  const SamplerKind& kind = find_sampler(options.sampler);
  const int64_t count = levels_for(kind, sampling_evaluations(options, process));
  return spaced_levels(process, spacing_for(kind, options, process),
                       {.count = count, .with_first = kind.with_first, .tuned = &tuned});
}

Tensor sample(const Process& process, const Denoiser& network, const SampleRequest& request) {
  request.sampling.check();
  if (request.image.rank() != 3 || request.image.elements() < 1) {
    fail_usage("sample", fmt::format("the image has the shape {}; it must be [height, width, "
                                     "channels], each at least 1",
                                     request.image.str()));
  }
  if (request.image_seeds.empty() && request.noise.empty())
    fail_usage("sample", "no images; at least 1 seed is needed");
  for (const Tensor& draw : request.noise) {
    const Shape& shape = draw.shape();
    const Shape wanted{shape[0], request.image[0], request.image[1], request.image[2]};
    if (shape != wanted || shape != request.noise[0].shape()) {
      fail_usage("sample", fmt::format("noise of the shape {} for images {}; all draws must be "
                                       "[images, height, width, channels]",
                                       shape.str(), request.image.str()));
    }
  }
  SampleLoop loop(process, steps_between(sampling_levels(request.sampling, process, request.tuned)),
                  network, request);
  return find_sampler(request.sampling.sampler).run(loop);
}

}  // namespace ddpm
