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

// Whether the first of so many levels is noise alone. There Heun's method takes a step of Euler,
// with one evaluation; see samplers/heun.cpp. For flow it has a slope at every level.
bool begins_without_slope(const Process& process, const std::string& spacing,
                          const TunedLevels& tuned, int64_t levels) {
  if (process.kind() == ProcessKind::kFlow || process.noisiest().alpha_squared > 0) return false;
  if (spacing == "tuned")
    return !tuned.times.empty() && process.level_told(tuned.times[0]).alpha_squared == 0;
  return spaced_levels(process, spacing, {.count = levels}).front().alpha_squared == 0;
}

// How many evaluations a sampler makes on so many levels of a spacing, and the other way round.
class Count {
 public:
  Count(const SamplerKind& kind, const Process& process, std::string spacing,
        const TunedLevels& tuned)
      : kind_(kind), process_(process), spacing_(std::move(spacing)), tuned_(tuned) {}

  int64_t evaluations(int64_t levels) const {
    if (!kind_.two_evaluations || levels == 1) return levels;
    return 2 * levels - (begins_without_slope(process_, spacing_, tuned_, levels) ? 2 : 1);
  }
  // The most levels that take no more evaluations than these.
  int64_t levels(int64_t evaluations) const {
    if (!kind_.two_evaluations) return evaluations;
    const int64_t most = evaluations / 2 + 1;
    const bool fits = most <= process_.most_steps() && this->evaluations(most) <= evaluations;
    return fits ? most : (evaluations + 1) / 2;
  }

 private:
  const SamplerKind& kind_;
  const Process& process_;
  const std::string spacing_;
  const TunedLevels& tuned_;
};

std::string own_spacing(const SamplerKind& kind, const Process& process) {
  if (process.kind() == ProcessKind::kEdm) return "karras";
  return process.kind() == ProcessKind::kFlow ? "trailing" : kind.spacing;
}

// The evaluations that are asked for, or else the sampler's own, as many as there can be.
int64_t checked_evaluations(const SamplerKind& kind, const Process& process, const Count& count,
                            int64_t asked) {
  const int64_t most = count.evaluations(process.most_steps());
  const int64_t usual = kind.default_steps == 0 ? most : std::min(kind.default_steps, most);
  const int64_t evaluations = asked == 0 ? usual : asked;
  if (evaluations < 1 || evaluations > most) {
    fail_usage("sample", fmt::format("{} evaluations with the sampler {}; this model was trained "
                                     "with {} time steps, choose 1 to {}",
                                     evaluations, kind.name, process.most_steps(), most));
  }
  return count.evaluations(count.levels(evaluations));
}

// Whether nothing in the request speaks against the sampler and the levels that a model is tuned
// for.
bool fits_tuned(const SamplerOptions& options, const Process& process, const TunedLevels& tuned) {
  const auto levels = static_cast<int64_t>(tuned.times.size());
  return levels > 0 && (options.spacing == "auto" || options.spacing == "tuned") &&
         (options.order == 0 || options.order == tuned.order) && options.eta <= 0 &&
         options.churn.empty() &&
         (options.steps == 0 ||
          options.steps ==
              Count(find_sampler(tuned.sampler), process, "tuned", tuned).evaluations(levels));
}

}  // namespace

SamplerOptions completed(const SamplerOptions& options, const Process& process,
                         const TunedLevels& tuned) {
  SamplerOptions all = options;
  const auto tuned_levels = static_cast<int64_t>(tuned.times.size());
  if (all.sampler == "auto") {
    all.sampler = kDefaultSampler;
    if (fits_tuned(options, process, tuned)) {
      all.sampler = tuned.sampler;
      all.order = tuned.order;
      all.spacing = "tuned";
    }
  }
  all.check();
  const SamplerKind& kind = find_sampler(all.sampler);
  if (all.spacing == "auto") all.spacing = own_spacing(kind, process);
  const Count count(kind, process, all.spacing, tuned);
  if (all.spacing == "tuned" && all.steps == 0 && tuned_levels > 0)
    all.steps = count.evaluations(tuned_levels);
  all.steps = checked_evaluations(kind, process, count, all.steps);
  if (all.order == 0) all.order = kind.default_order;
  if (all.eta == -1) all.eta = kind.eta.value_or(0);
  return all;
}

std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options, const Process& process,
                                        const TunedLevels& tuned) {
  const SamplerOptions all = completed(options, process, tuned);
  const SamplerKind& kind = find_sampler(all.sampler);
  const int64_t levels = Count(kind, process, all.spacing, tuned).levels(all.steps);
  return spaced_levels(process, all.spacing,
                       {.count = levels, .with_first = kind.with_first, .tuned = &tuned.times});
}

std::vector<std::string> fitting_spacings(const SamplerOptions& options, const Process& process) {
  const SamplerOptions all = completed(options, process);
  const SamplerKind& kind = find_sampler(all.sampler);
  std::vector<std::string> names;
  for (const SpacingKind& spacing : spacing_kinds()) {
    if (spacing.name == std::string("tuned")) continue;
    const TunedLevels none;
    const int64_t levels = Count(kind, process, spacing.name, none).levels(all.steps);
    if (has_room(process, spacing, {.count = levels, .with_first = kind.with_first}))
      names.emplace_back(spacing.name);
  }
  return names;
}

namespace {

// The sampler itself counts, on a device that computes nothing.
int64_t draws_needed(const SamplerOptions& all, const Process& process, const TunedLevels& tuned) {
  SampleRequest request{.sampling = all,
                        .image = {1, 1, 1},
                        .image_seeds = {0},
                        .tuned = tuned,
                        .device = Device::kDry};
  request.sampling.clip = "none";
  const Denoiser nothing = [&](const Tensor& x, const Tensor&) {
    const int64_t outputs = process.learned_variance() ? 2 : 1;
    return Tensor({1, 1, 1, outputs}, DType::kFloat32, x.device());
  };
  SampleLoop loop(process, steps_between(sampling_levels(all, process, tuned)), nothing, request);
  find_sampler(all.sampler).run(loop);
  return loop.draws();
}

}  // namespace

void check_draws(const SamplerOptions& options, const Process& process, const TunedLevels& tuned,
                 int64_t draws) {
  const SamplerOptions all = completed(options, process, tuned);
  const int64_t needed = draws_needed(all, process, tuned);
  if (draws >= needed) return;
  fail_usage("sample",
             fmt::format("there {} {} draw{} of noise, but the sampler {} needs {} for {} "
                         "evaluation{}: one for the start and one for each step that adds noise",
                         draws == 1 ? "is" : "are", draws, draws == 1 ? "" : "s", all.sampler,
                         needed, all.steps, all.steps == 1 ? "" : "s"));
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
  if (!request.noise.empty())
    check_draws(request.sampling, process, request.tuned, std::ssize(request.noise));
  SampleRequest whole = request;
  whole.sampling = completed(request.sampling, process, request.tuned);
  SampleLoop loop(process, steps_between(sampling_levels(whole.sampling, process, whole.tuned)),
                  network, whole);
  return find_sampler(whole.sampling.sampler).run(loop);
}

}  // namespace ddpm
