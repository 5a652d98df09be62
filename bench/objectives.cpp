// Trains a small network with every objective, and with each option beside it, on a mixture of
// Gaussians, draws from it by every sampler, and prints how far what it draws lies from exact
// samples: the energy distance. The first line is that of exact samples themselves.
//
//   bench_objectives [--steps N of each training] [--images N] [--seed N] [--filter TEXT]
#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "bench/stopwatch.h"
#include "ddpm/base/error.h"
#include "ddpm/diffusion/sampler.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/tutorial/unet.h"
#include "tests/support/mixture.h"

namespace ddpm::bench {
namespace {

using tutorial::UnetConfig;

struct Options {
  int64_t steps = 10000;
  int64_t images = 4000;
  // Of the training: its data, weights and noise.
  uint64_t seed = 0;
  std::string filter;
};

struct Case {
  const char* name;
  std::function<void(TrainOptions& options, UnetConfig& unet)> set;
};

std::vector<Case> cases() {
  const auto objective = [](const char* name, const std::function<void(TrainOptions&)>& also = {}) {
    return [name, also](TrainOptions& options, UnetConfig&) {
      options.process.objective = name;
      if (also) also(options);
    };
  };
  return {
      {"eps", objective("eps")},
      {"x0", objective("x0")},
      {"v", objective("v")},
      {"edm", objective("edm")},
      {"flow", objective("flow")},
      {"eps min-snr", objective("eps", [](TrainOptions& o) { o.process.weighting = "min-snr"; })},
      {"x0 min-snr", objective("x0", [](TrainOptions& o) { o.process.weighting = "min-snr"; })},
      {"v min-snr", objective("v", [](TrainOptions& o) { o.process.weighting = "min-snr"; })},
      {"edm min-snr", objective("edm", [](TrainOptions& o) { o.process.weighting = "min-snr"; })},
      {"flow min-snr", objective("flow", [](TrainOptions& o) { o.process.weighting = "min-snr"; })},
      {"flow logit-normal",
       objective("flow", [](TrainOptions& o) { o.process.time_sampling = "logit-normal"; })},
      {"x0 zero-snr", objective("x0", [](TrainOptions& o) { o.process.zero_snr = true; })},
      {"v zero-snr", objective("v", [](TrainOptions& o) { o.process.zero_snr = true; })},
      {"eps learned-variance",
       objective("eps", [](TrainOptions& o) { o.process.learned_variance = true; })},
      {"v learned-variance",
       objective("v", [](TrainOptions& o) { o.process.learned_variance = true; })},
      {"eps offset-noise 0.1",
       objective("eps", [](TrainOptions& o) { o.process.offset_noise = 0.1; })},
      {"eps input-perturbation 0.1",
       objective("eps", [](TrainOptions& o) { o.process.input_perturbation = 0.1; })},
      {"x0 self-condition",
       [](TrainOptions& options, UnetConfig& unet) {
         options.process.objective = "x0";
         unet.self_condition = true;
       }},
      {"eps dropout 0.1", [](TrainOptions&, UnetConfig& unet) { unet.dropout = 0.1; }},
  };
}

TrainOptions options_of(const Case& one) {
  TrainOptions options = test::mixture_training(32);
  options.optimizer.batch = 128;
  options.optimizer.lr = 2e-3;
  options.optimizer.ema_decay = 0.995;
  one.set(options, *options.network.get<UnetConfig>());
  options.check();
  return options;
}

void run(const Case& one, const Options& options) {
  TrainOptions chosen = options_of(one);
  chosen.optimizer.seed = options.seed;
  Trainer trainer = test::mixture_trainer(chosen, 100 + options.seed);
  const Stopwatch watch;
  while (trainer.steps() < options.steps) trainer.step();
  const double seconds = watch.seconds();
  const std::unique_ptr<Network> network = trainer.averaged_network();
  const Tensor exact = test::mixture_samples(2, 0, options.images);
  std::string line = fmt::format("{:<28}{:>7.0f}", one.name, seconds);
  for (const std::string& sampler : sampler_names()) {
    for (const int64_t steps : {20, 250}) {
      const Tensor drawn = generate(*network, trainer.config(),
                                    {.count = options.images,
                                     .batch = options.images,
                                     .sampling = {.sampler = sampler, .steps = steps}});
      line += fmt::format("{:>12.5f}", test::energy_distance(drawn, exact));
    }
  }
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

// The value of a flag: a whole number from `least`.
template <class Number>
Number number_of(const std::string& flag, std::string_view text, Number least) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && stopped == end && number >= least) return number;
  fail_usage("bench",
             fmt::format("{} is '{}'; give a whole number of at least {}", flag, text, least));
}

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; i += 2) {
    const std::string flag = words[i];
    if (i + 1 == count) fail_usage("bench", flag + " has no value");
    const char* value = words[i + 1];
    if (flag == "--steps") {
      options.steps = number_of<int64_t>(flag, value, 1);
    } else if (flag == "--images") {
      // A single image has no distance to another of its set.
      options.images = number_of<int64_t>(flag, value, 2);
    } else if (flag == "--seed") {
      options.seed = number_of<uint64_t>(flag, value, 0);
    } else if (flag == "--filter") {
      options.filter = value;
    } else {
      fail_usage("bench", "unknown flag " + flag);
    }
  }
  return options;
}

int run_all(int count, char** words) {
  const Options options = parse(count, words);
  std::string head = fmt::format("{:<28}{:>7}", "energy distance", "seconds");
  for (const std::string& sampler : sampler_names()) {
    for (const int64_t steps : {20, 250})
      head += fmt::format("{:>12}", fmt::format("{} {}", sampler, steps));
  }
  fmt::print("{}\n", head);
  fmt::print("{:<35}{:>12.5f}\n", "exact samples",
             test::energy_distance(test::mixture_samples(3, 0, options.images),
                                   test::mixture_samples(2, 0, options.images)));
  for (const Case& one : cases()) {
    if (std::string(one.name).find(options.filter) != std::string::npos) run(one, options);
  }
  return 0;
}

}  // namespace
}  // namespace ddpm::bench

int main(int count, char** words) try {
  return ddpm::bench::run_all(count, words);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_objectives: %s\n", error.what());
  return 2;
}
