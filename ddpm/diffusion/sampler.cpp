#include "ddpm/diffusion/sampler.h"

#include <fmt/core.h>

#include <algorithm>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/samplers/loop.h"
#include "ddpm/diffusion/spacing.h"

namespace ddpm {

namespace {

// The steps in which a sampler makes so many evaluations, and the other way round.
int64_t levels_for(const SamplerKind& kind, int64_t evaluations) {
  return kind.two_evaluations ? (evaluations + 1) / 2 : evaluations;
}
int64_t evaluations_for(const SamplerKind& kind, int64_t levels) {
  return kind.two_evaluations ? 2 * levels - 1 : levels;
}

std::string own_spacing(const SamplerKind& kind, const Process& process, int64_t levels) {
  if (process.kind() == ProcessKind::kEdm) return "karras";
  // The spacings that leave the first time step out have one level less.
  const bool all_steps = !kind.with_first && levels == process.most_steps();
  return process.kind() == ProcessKind::kFlow || all_steps ? "trailing" : kind.spacing;
}

int64_t checked_evaluations(const SamplerKind& kind, const Process& process, int64_t asked) {
  const int64_t most = evaluations_for(kind, process.most_steps());
  const int64_t usual = kind.default_steps == 0 ? most : std::min(kind.default_steps, most);
  const int64_t evaluations = asked == 0 ? usual : asked;
  if (evaluations < 1 || evaluations > most) {
    fail_usage("sample", fmt::format("{} evaluations with the sampler {}; this model was trained "
                                     "with {} time steps, choose 1 to {}",
                                     evaluations, kind.name, process.most_steps(), most));
  }
  return evaluations_for(kind, levels_for(kind, evaluations));
}

// Whether nothing in the request speaks against the sampler and the levels that a model is tuned
// for.
bool fits_tuned(const SamplerOptions& options, const TunedLevels& tuned) {
  const auto levels = static_cast<int64_t>(tuned.times.size());
  return levels > 0 && (options.spacing == "auto" || options.spacing == "tuned") &&
         (options.order == 0 || options.order == tuned.order) && options.eta <= 0 &&
         options.churn.empty() &&
         (options.steps == 0 ||
          options.steps == evaluations_for(find_sampler(tuned.sampler), levels));
}

}  // namespace

SamplerOptions completed(const SamplerOptions& options, const Process& process,
                         const TunedLevels& tuned) {
  SamplerOptions all = options;
  const auto tuned_levels = static_cast<int64_t>(tuned.times.size());
  if (all.sampler == "auto") {
    all.sampler = kDefaultSampler;
    if (fits_tuned(options, tuned)) {
      all.sampler = tuned.sampler;
      all.order = tuned.order;
      all.spacing = "tuned";
    }
  }
  all.check();
  const SamplerKind& kind = find_sampler(all.sampler);
  if (all.spacing == "tuned" && all.steps == 0 && tuned_levels > 0)
    all.steps = evaluations_for(kind, tuned_levels);
  all.steps = checked_evaluations(kind, process, all.steps);
  if (all.order == 0) all.order = kind.default_order;
  if (all.eta == -1) all.eta = kind.eta.value_or(0);
  if (all.spacing == "auto") all.spacing = own_spacing(kind, process, levels_for(kind, all.steps));
  return all;
}

std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options, const Process& process,
                                        const TunedLevels& tuned) {
  const SamplerOptions all = completed(options, process, tuned);
  const SamplerKind& kind = find_sampler(all.sampler);
  return spaced_levels(
      process, all.spacing,
      {.count = levels_for(kind, all.steps), .with_first = kind.with_first, .tuned = &tuned.times});
}

std::vector<std::string> fitting_spacings(const SamplerOptions& options, const Process& process) {
  const SamplerOptions all = completed(options, process);
  const SamplerKind& kind = find_sampler(all.sampler);
  std::vector<std::string> names;
  for (const SpacingKind& spacing : spacing_kinds()) {
    const SpacingRequest wanted{.count = levels_for(kind, all.steps),
                                .with_first = kind.with_first};
    if (spacing.name != std::string("tuned") && has_room(process, spacing, wanted))
      names.emplace_back(spacing.name);
  }
  return names;
}

Tensor sample(const Process& process, const Denoiser& network, const SampleRequest& request) {
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
  SampleRequest whole = request;
  whole.sampling = completed(request.sampling, process, request.tuned);
  SampleLoop loop(process, steps_between(sampling_levels(whole.sampling, process, whole.tuned)),
                  network, whole);
  return find_sampler(whole.sampling.sampler).run(loop);
}

}  // namespace ddpm
