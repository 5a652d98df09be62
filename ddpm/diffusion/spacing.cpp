// The table of spacings. Each spacing is a function and a row. Time steps are rounded to whole
// ones, halves to even, as NumPy does.
#include "ddpm/diffusion/spacing.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ddpm/base/error.h"
#include "ddpm/base/named_rows.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/objective.h"
#include "ddpm/diffusion/process.h"

namespace ddpm {
namespace {

using Levels = std::vector<NoiseLevel>;

// The position of level i in [0, 1], including both ends. 0 for a single level.
double fraction(int64_t i, int64_t count) {
  return count == 1 ? 0.0 : static_cast<double>(i) / static_cast<double>(count - 1);
}

// Flow has a level for every time, so only the others are rounded.
double rounded(const Process& process, double time) {
  return process.kind() == ProcessKind::kFlow ? time : std::nearbyint(time);
}

// The most levels of the spacing.
int64_t room_of(const Process& process, const SpacingKind& kind, const SpacingRequest& request) {
  return process.most_steps() - (kind.skips_first && !request.with_first ? 1 : 0);
}

Levels leading(const Process& process, const SpacingRequest& request) {
  const int64_t skipped = request.with_first ? 0 : 1;
  const int64_t stride = process.most_steps() / (request.count + skipped);
  Levels levels;
  for (int64_t i = request.count - 1; i >= 0; --i)
    levels.push_back(process.at_time(static_cast<double>(stride * (i + skipped))));
  return levels;
}

Levels trailing(const Process& process, const SpacingRequest& request) {
  const auto all = static_cast<double>(process.most_steps());
  const double stride = all / static_cast<double>(request.count);
  Levels levels;
  for (int64_t i = 0; i < request.count; ++i)
    levels.push_back(process.at_time(rounded(process, all - static_cast<double>(i) * stride) - 1));
  return levels;
}

Levels linspace(const Process& process, const SpacingRequest& request) {
  const int64_t gaps = request.count - 1 + (request.with_first ? 0 : 1);
  const auto last = static_cast<double>(process.most_steps() - 1);
  const double stride = gaps == 0 ? 0 : last / static_cast<double>(gaps);
  Levels levels = {process.at_time(last)};
  for (int64_t i = gaps - 1; std::ssize(levels) < request.count; --i)
    levels.push_back(process.at_time(rounded(process, static_cast<double>(i) * stride)));
  return levels;
}

// `between` gives the ratio sigma / alpha at a position from 0 to 1 between two ratios. If the
// noisiest level is noise alone, its ratio is infinite: it is then followed by the others, from the
// level of the second time step from the end.
template <class Between>
Levels by_ratio(const Process& process, int64_t count, const Between& between) {
  Levels levels = {process.noisiest()};
  NoiseLevel high = process.noisiest();
  const bool infinite = std::isinf(high.ratio());
  if (infinite && count > 1 && process.most_steps() > 1)
    high = process.at_time(static_cast<double>(process.most_steps() - 2));
  const double first = high.ratio(), last = process.cleanest().ratio();
  for (int64_t i = 1; i < count; ++i) {
    const double place = infinite ? fraction(i - 1, count - 1) : fraction(i, count);
    levels.push_back(i + 1 == count ? process.cleanest()
                                    : process.at_ratio(between(first, last, place)));
  }
  return levels;
}

// Karras et al. 2022 (arXiv:2206.00364), equation 5.
double karras_between(double first, double last, double place) {
  constexpr double kRho = 7;
  return std::pow(std::lerp(std::pow(first, 1 / kRho), std::pow(last, 1 / kRho), place), kRho);
}

// For flow, t takes the place of sigma, as in diffusers: its ratio would be infinite.
Levels karras(const Process& process, const SpacingRequest& request) {
  if (process.kind() != ProcessKind::kFlow) return by_ratio(process, request.count, karras_between);
  Levels levels;
  for (int64_t i = 0; i < request.count; ++i) {
    const double t = karras_between(process.noisiest().sigma(), process.cleanest().sigma(),
                                    fraction(i, request.count));
    levels.push_back(process.level_told(t * static_cast<double>(process.most_steps())));
  }
  return levels;
}

Levels log_snr(const Process& process, const SpacingRequest& request) {
  return by_ratio(process, request.count, [](double first, double last, double place) {
    return std::exp(std::lerp(std::log(first), std::log(last), place));
  });
}

// Even in time means few levels where there is little noise, even in log SNR means many at both
// ends, where little changes. The levels halfway between are best in few evaluations;
// docs/samplers.md has the measurements. More noise than kMost hides every picture, and less than
// kLeast is not seen.
Levels balanced(const Process& process, const SpacingRequest& request) {
  constexpr double kMost = 164, kLeast = 0.02;
  const auto time_of = [&](double ratio) {
    const double t = process.at_ratio(ratio).t;
    return process.kind() == ProcessKind::kFlow ? t - 1 : t;
  };
  const double most = std::min(kMost, process.noisiest().ratio());
  const double least = std::max(kLeast, process.cleanest().ratio());
  const double first = time_of(most), last = time_of(least);
  const auto latest = static_cast<double>(process.most_steps() - 1);
  Levels levels;
  for (int64_t i = 0; i < request.count; ++i) {
    // The end at kLeast is left out, as trailing leaves out time step 0: there is nothing to see.
    const double place = static_cast<double>(i) / static_cast<double>(request.count);
    const double even = std::lerp(first, last, place);
    const double by_snr = time_of(std::exp(std::lerp(std::log(most), std::log(least), place)));
    levels.push_back(process.at_time(std::clamp((even + by_snr) / 2, 0.0, latest)));
  }
  // A network that was trained on noise alone must be asked about it first.
  if (std::isinf(process.noisiest().ratio())) levels.front() = process.noisiest();
  return levels;
}

Levels tuned(const Process& process, const SpacingRequest& request) {
  if (request.tuned == nullptr || request.tuned->empty()) {
    fail_usage("sample",
               "the model has no tuned levels; make them with ddpm tune, or choose "
               "another spacing");
  }
  if (static_cast<int64_t>(request.tuned->size()) != request.count) {
    fail_usage("sample",
               fmt::format("the model has {} tuned levels, but these steps need {}; leave "
                           "the steps out, or choose another spacing",
                           request.tuned->size(), request.count));
  }
  Levels levels;
  for (const double t : *request.tuned) levels.push_back(process.level_told(t));
  return levels;
}

}  // namespace

const std::vector<SpacingKind>& spacing_kinds() {
  static const std::vector<SpacingKind> kinds = {
      {"leading", "every k-th time step from the first: less than all of the noise", true, true,
       leading},
      {"trailing", "every k-th time step from the last", true, false, trailing},
      {"linspace", "time steps from the last to the first", true, true, linspace},
      {"karras", "evenly in the 7th root of sigma / alpha (Karras et al. 2022)", false, false,
       karras},
      {"log-snr", "evenly in the logarithm of alpha / sigma", false, false, log_snr},
      {"balanced", "halfway between even in time and even in the logarithm of alpha / sigma", true,
       false, balanced},
      {"tuned", "the levels that ddpm tune has stored in the model", false, false, tuned},
  };
  return kinds;
}

std::vector<std::string> spacing_names() { return names_of(spacing_kinds()); }

bool has_room(const Process& process, const SpacingKind& kind, const SpacingRequest& request) {
  if (kind.of_time_steps && process.kind() == ProcessKind::kEdm) return false;
  return request.count >= 1 && request.count <= room_of(process, kind, request);
}

std::vector<NoiseLevel> spaced_levels(const Process& process, std::string_view spacing,
                                      const SpacingRequest& request) {
  const SpacingKind& kind = find_by_name(spacing_kinds(), spacing, "sample", "spacing");
  if (kind.of_time_steps && process.kind() == ProcessKind::kEdm) {
    std::vector<std::string> fitting;
    for (const SpacingKind& other : spacing_kinds())
      if (!other.of_time_steps) fitting.emplace_back(other.name);
    fail_usage("sample", fmt::format("the spacing {} counts time steps, which a model of the "
                                     "objective edm does not have; choose {}",
                                     spacing, join_choices(fitting)));
  }
  if (request.count < 1 || request.count > process.most_steps()) {
    fail_usage("sample", fmt::format("{} levels of a process of {} time steps; choose 1 to {}",
                                     request.count, process.most_steps(), process.most_steps()));
  }
  if (!has_room(process, kind, request)) {
    const int64_t room = room_of(process, kind, request);
    fail_usage("sample", fmt::format("{} levels, but the spacing {} has {} for this sampler and {} "
                                     "time steps; choose 1 to {}, or the spacing trailing",
                                     request.count, spacing, room, process.most_steps(), room));
  }
  return kind.levels(process, request);
}

}  // namespace ddpm
