// Draws from a model in many ways, and prints how far each set of pictures lies from real ones: the
// Frechet distance of a classifier's features.
//
//   bench_samplers MODEL CLASSIFIER FEATURES [N] < plan.jsonl
//
// Each line of the plan is a JSON object with options of `ddpm sample`, such as
// {"sampler": "ipndm", "order": 3, "steps": 10, "seed": 1}. The line comes back with "frechet" and
// "seconds" added. CLASSIFIER is what `ddpm eval --features classifier --cache DIR` leaves in DIR,
// and FEATURES, with the tensor `real`, is what --save-features writes. N is the number of
// pictures, 1000 if it is not given. DDPM_BENCH_THREADS sets the threads.
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "bench/stopwatch.h"
#include "ddpm/base/error.h"
#include "ddpm/base/json.h"
#include "ddpm/base/options.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/pixels.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/eval/classifier.h"
#include "ddpm/eval/frechet.h"
#include "ddpm/io/safetensors.h"
#include "ddpm/nn/network.h"

namespace ddpm::bench {
namespace {

void run(int argc, char** argv) {
  if (argc < 4) fail_usage("bench", "give MODEL CLASSIFIER FEATURES [N]");
  if (const char* threads = std::getenv("DDPM_BENCH_THREADS")) set_num_threads(std::atoi(threads));
  const Model model = load_model(argv[1]);
  const auto classifier = load_classifier(argv[2]);
  const FeatureStatistics real = feature_statistics(SafetensorsFile::open(argv[3]).read("real"));
  const int64_t count = argc > 4 ? std::atoll(argv[4]) : 1000;
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.empty()) continue;
    JsonObject plan = JsonObject::parse(line, "the plan");
    GenerateOptions options;
    read_options(plan, options);
    options.count = count;
    options.batch = 50;
    const Stopwatch watch;
    const Tensor drawn = to_bytes(generate(*model.network, model.config, options));
    const double distance = frechet_distance(feature_statistics((*classifier)(drawn)), real);
    plan.set("frechet", fmt::format("{:.3f}", distance));
    plan.set("seconds", fmt::format("{:.2f}", watch.seconds()));
    fmt::print("{}\n", plan.dump(-1));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  try {
    ddpm::bench::run(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
