#include "ddpm/engine/tuner.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/nn/network.h"

namespace ddpm {
namespace {

using Times = std::vector<double>;

// Shares of the gap to the neighbour by which levels are moved, one round of trials each.
constexpr double kShares[] = {0.5, 0.3, 0.3, 0.15, 0.15, 0.08};
constexpr int64_t kFineEvaluations = 128;
constexpr const char* kTunedSampler = "unipc";

double distance_between(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::kCpu), y = b.to(Device::kCpu);
  double sum = 0;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double difference = double{x.f32()[i]} - double{y.f32()[i]};
    sum += difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(x.elements()));
}

// What few evaluations draw, against what many draw.
class Trials {
 public:
  Trials(const Network& network, const ModelConfig& config, const GenerateOptions& options)
      : network_(network), config_(config), options_(options) {
    GenerateOptions fine = options;
    fine.sampling = {.sampler = "dpmpp-2m",
                     .steps = std::min(kFineEvaluations, config.process.timesteps - 1),
                     .clip = options.sampling.clip};
    exact_ = generate(network, config, fine);
    // Of levels, only their number is fixed. Heun's method needs fewer evaluations on some.
    options_.sampling.spacing = "tuned";
    options_.sampling.steps = 0;
    most_ = options.sampling.steps;
  }

  // Infinite for levels that need more evaluations than are asked for.
  double distance(const Times& times) {
    config_.tuned.times = times;
    if (completed(options_.sampling, Process(config_.process), config_.tuned).steps > most_)
      return std::numeric_limits<double>::infinity();
    return distance_between(generate(network_, config_, options_), exact_);
  }

 private:
  const Network& network_;
  ModelConfig config_;
  GenerateOptions options_;
  int64_t most_ = 0;
  Tensor exact_;  // [N, H, W, C]
};

Times times_of(const std::vector<NoiseLevel>& levels) {
  Times times;
  for (const NoiseLevel& level : levels) times.push_back(level.t);
  return times;
}

// The level moved by a share of the gap towards its neighbour on one side. The first and the last
// level move towards the ends of the process.
Times moved(const Process& process, Times times, size_t i, bool up, double share) {
  const double high = i == 0 ? process.noisiest().t : times[i - 1];
  const double low = i + 1 == times.size() ? process.cleanest().t : times[i + 1];
  times[i] = std::lerp(times[i], up ? high : low, share);
  return times;
}

void check(const SamplerOptions& sampling) {
  const SamplerKind& kind = find_sampler(sampling.sampler);
  const bool draws_noise =
      kind.always_noisy || sampling.eta > 0 || parse_churn(sampling.churn).amount > 0;
  if (!draws_noise) return;
  fail_usage("tune", fmt::format("the sampler {} adds noise, so that its pictures are not those of "
                                 "a fine trajectory; choose another{}",
                                 kind.name, kind.eta ? ", or --eta 0" : ""));
}

}  // namespace

TuneResult tune(const Network& network, const ModelConfig& config, const GenerateOptions& options,
                const TuneProgress& progress) {
  const Process process(config.process);
  ModelConfig plain = config;
  plain.tuned = {};
  GenerateOptions drawn = options;
  // The default sampler adds noise.
  if (drawn.sampling.sampler == "auto") drawn.sampling.sampler = kTunedSampler;
  drawn.sampling = completed(drawn.sampling, process);
  check(drawn.sampling);
  plain.tuned = {.sampler = drawn.sampling.sampler, .order = drawn.sampling.order};
  Trials trials(network, plain, drawn);

  TuneResult result{.levels = plain.tuned};
  double best = std::numeric_limits<double>::infinity();
  Times times;
  int64_t trial = 0, most = 0;
  const auto report = [&] {
    if (progress && !progress(++trial, most, best)) fail("tune", "cancelled");
  };
  std::vector<std::pair<std::string, Times>> begins;
  for (const std::string& spacing : fitting_spacings(drawn.sampling, process)) {
    SamplerOptions sampling = drawn.sampling;
    sampling.spacing = spacing;
    begins.emplace_back(spacing, times_of(sampling_levels(sampling, process)));
  }
  // Heun's method has more levels on some spacings than on others.
  const auto most_levels = std::ranges::max(begins, {}, [](const auto& begin) {
                             return begin.second.size();
                           }).second.size();
  const auto trials_of = [&](size_t levels) {
    return std::ssize(begins) + 2 * static_cast<int64_t>(levels) * std::ssize(kShares);
  };
  most = trials_of(most_levels);
  for (const auto& [name, candidate] : begins) {
    const double distance = trials.distance(candidate);
    if (distance < best) best = distance, times = candidate, result.began_with = name;
    report();
  }
  const Times first = times;
  most = trials_of(times.size());
  for (const double share : kShares) {
    for (size_t i = 0; i < times.size(); ++i) {
      for (const bool up : {true, false}) {
        const Times candidate = moved(process, times, i, up, share);
        const double distance = candidate == times ? best : trials.distance(candidate);
        if (distance < best) best = distance, times = candidate;
        report();
      }
    }
  }
  drawn.first = options.first + options.count;
  Trials others(network, plain, drawn);
  result.before = others.distance(first);
  result.after = others.distance(times);
  if (!(result.after < result.before)) times = first, result.after = result.before;
  result.levels.times = times;
  return result;
}

}  // namespace ddpm
