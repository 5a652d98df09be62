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
// From how many spacings the search begins, the best ones. Each may end in another local minimum.
constexpr int64_t kSearches = 2;
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

// Levels, and the distance of what is drawn at them.
struct Begin {
  std::string spacing;
  Times times;
  double distance = 0;
};

// The levels of every spacing that has room for so many.
std::vector<Begin> spacings_to_begin_with(const SamplerOptions& asked, const Process& process) {
  std::vector<Begin> begins;
  for (const std::string& spacing : fitting_spacings(asked, process)) {
    SamplerOptions sampling = asked;
    sampling.spacing = spacing;
    begins.push_back({spacing, times_of(sampling_levels(sampling, process))});
  }
  return begins;
}

// Counts trials and reports them.
class Counter {
 public:
  Counter(const TuneProgress& progress, int64_t most) : progress_(progress), most_(most) {}

  // The most trials that are still to come.
  void expect(int64_t more) { most_ = trial_ + more; }
  void done(double distance) {
    least_ = std::min(least_, distance);
    if (progress_ && !progress_(++trial_, most_, least_)) fail("tune", "cancelled");
  }

 private:
  const TuneProgress& progress_;
  int64_t trial_ = 0, most_ = 0;
  double least_ = std::numeric_limits<double>::infinity();
};

int64_t trials_of_search(const Begin& begin) {
  return 2 * std::ssize(begin.times) * std::ssize(kShares);
}

// Moves one level after the other, and keeps what helps.
Begin search(const Process& process, Trials& trials, Begin best, Counter& counter) {
  for (const double share : kShares) {
    for (size_t i = 0; i < best.times.size(); ++i) {
      for (const bool up : {true, false}) {
        const Times candidate = moved(process, best.times, i, up, share);
        const double distance =
            candidate == best.times ? best.distance : trials.distance(candidate);
        if (distance < best.distance) best.distance = distance, best.times = candidate;
        counter.done(best.distance);
      }
    }
  }
  return best;
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

  std::vector<Begin> begins = spacings_to_begin_with(drawn.sampling, process);
  const auto searches = std::min<int64_t>(kSearches, std::ssize(begins));
  // Heun's method has more levels on some spacings than on others.
  int64_t longest = 0;
  for (const Begin& begin : begins) longest = std::max(longest, trials_of_search(begin));
  Counter counter(progress, std::ssize(begins) + searches * longest);
  for (Begin& begin : begins) {
    begin.distance = trials.distance(begin.times);
    counter.done(begin.distance);
  }
  std::ranges::stable_sort(begins, {}, &Begin::distance);
  int64_t left = 0;
  for (int64_t k = 0; k < searches; ++k) left += trials_of_search(begins[static_cast<size_t>(k)]);
  counter.expect(left);
  const Begin first = begins.front();
  std::vector<Begin> found = {first};
  for (int64_t k = 0; k < searches; ++k)
    found.push_back(search(process, trials, begins[static_cast<size_t>(k)], counter));
  // What fits the pictures of the search best need not be the best for others.
  drawn.first += options.count;
  Trials choice(network, plain, drawn);
  for (Begin& levels : found) levels.distance = choice.distance(levels.times);
  const Begin best = *std::ranges::min_element(found, {}, &Begin::distance);
  drawn.first += options.count;
  Trials others(network, plain, drawn);
  TuneResult result{.levels = plain.tuned,
                    .best_spacing = first.spacing,
                    .before = others.distance(first.times),
                    .after = others.distance(best.times)};
  result.levels.times = best.times;
  return result;
}

}  // namespace ddpm
