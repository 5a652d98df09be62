// ddpm bench: measures one forward pass and one whole training step on random data. It reports the
// minimum of the repetitions, because every disturbance makes a measurement longer.
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <tuple>

#include "apps/cli/command.h"
#include "apps/cli/common.h"
#include "apps/cli/output.h"
#include "apps/cli/training_flags.h"
#include "ddpm/autograd/inference.h"
#include "ddpm/base/error.h"
#include "ddpm/base/options.h"
#include "ddpm/base/threads.h"
#include "ddpm/data/pixels.h"
#include "ddpm/engine/cost.h"
#include "ddpm/engine/memory_check.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/kernels/cpu/simd/simd.h"
#include "ddpm/kernels/profile/profile.h"
#include "ddpm/nn/network.h"

namespace ddpm::cli {
namespace {

struct Request {
  TrainOptions options;
  ModelSizeFlag model_size;
  int64_t channels = 3;
  int64_t repetitions = 5;
  double seconds = 0;
  bool json = false;
  bool layers = false;
  Machine machine;
};

// The fastest run. Does at least `repetitions` runs, and goes on until `seconds` have passed.
double fastest(int64_t repetitions, double seconds, const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  // Warm-up: memory, packed weights, threads.
  work();
  double best = 1e300;
  const Clock::time_point begin = Clock::now();
  for (int64_t i = 0; i < repetitions || since(begin) < seconds; ++i) {
    const Clock::time_point start = Clock::now();
    work();
    best = std::min(best, since(start));
  }
  return best;
}

double peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

// For each operation, the fastest of the repetitions.
std::vector<ProfiledOperation> profile(Device device, int64_t repetitions,
                                       const std::function<void()>& work) {
  Profile profile(device);
  std::vector<ProfiledOperation> fastest;
  for (int64_t i = 0; i < repetitions; ++i) {
    work();
    for (const ProfiledOperation& o : profile.take()) {
      const auto known = std::find_if(fastest.begin(), fastest.end(), [&](const auto& other) {
        return std::tie(other.operation, other.shape, other.algorithm) ==
               std::tie(o.operation, o.shape, o.algorithm);
      });
      if (known == fastest.end()) {
        fastest.push_back(o);
      } else {
        known->seconds = std::min(known->seconds, o.seconds);
      }
    }
  }
  std::sort(fastest.begin(), fastest.end(),
            [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return fastest;
}

std::string layers_json(const std::vector<ProfiledOperation>& operations) {
  std::string text;
  for (const ProfiledOperation& o : operations) {
    JsonObject object;
    object.set("operation", json_value::write(o.operation));
    object.set("shape", json_value::write(o.shape));
    object.set("algorithm", json_value::write(o.algorithm));
    object.set("calls", json_value::write(o.calls));
    object.set("seconds", json_value::write(o.seconds));
    object.set("flops", json_value::write(o.flops));
    text += (text.empty() ? "" : ", ") + object.dump(-1);
  }
  return "[" + text + "]";
}

// Prints how much time each operation takes.
void print_layers(const char* title, const std::vector<ProfiledOperation>& operations) {
  double total = 0;
  for (const ProfiledOperation& o : operations) total += o.seconds;
  print(fmt::format("\n{}, {:.1f} ms in operations\n", title, 1e3 * total));
  print(fmt::format("{:>7} {:>9} {:>8} {:>5}  {:29} {:32} {}\n", "share", "ms", "GFLOP/s", "calls",
                    "operation", "shape", "algorithm"));
  for (const ProfiledOperation& o : operations) {
    const std::string rate = o.flops > 0 ? fmt::format("{:.1f}", 1e-9 * o.flops / o.seconds) : "";
    print(fmt::format("{:6.1f}% {:9.3f} {:>8} {:5}  {:29} {:32} {}\n", 100 * o.seconds / total,
                      1e3 * o.seconds, rate, o.calls, o.operation, o.shape, o.algorithm));
  }
}

void check_ranges(const Request& request) {
  check_range("bench", "--batch", request.options.optimizer.batch, 1, kMostBatch);
  check_range("bench", "--channels", request.channels, 1, 4096);
  check_range("bench", "--repetitions", request.repetitions, 1, 1'000'000);
  if (!(request.seconds >= 0 && request.seconds <= 3600)) {
    fail_usage("bench", fmt::format("--seconds is {}; it must be 0 to 3600", request.seconds));
  }
}

struct Measured {
  ImageSize size;
  double step_s = 0, forward_s = 0;
  // The peak during training. Sampling comes later and is not included.
  double rss_mb = 0;
  // Of a forward pass of the batch.
  double flops = 0;
  int64_t parameters = 0;
  std::string simd;
  // Filled with --layers.
  std::vector<ProfiledOperation> forward_layers, step_layers;
};

Measured measure(const Request& request, Device device) {
  const TrainOptions& options = request.options;
  Measured result;
  const ImageSize size = result.size = parse_image_size(options.data.size);
  const ModelConfig config = options.model_config(size.height, size.width, request.channels);
  // Checked before the weights take time and memory.
  config.network.check();
  config.network.check_image(size.height, size.width);
  require_memory_for_training(config, options.optimizer, 0);

  Tensor images({options.optimizer.batch, size.height, size.width, request.channels},
                DType::kFloat32, device);
  std::vector<uint64_t> seeds(static_cast<size_t>(options.optimizer.batch));
  for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = i;
  Backend& backend = backend_for(device);
  backend.run(op::Normal{.seeds = seeds, .stream = 0, .x = images});
  Tensor t({options.optimizer.batch});
  for (int64_t i = 0; i < options.optimizer.batch; ++i) {
    t.f32()[i] = static_cast<float>(i * 37 % 1000);
  }

  Trainer trainer(
      options.optimizer, config, [&](int64_t) { return images; }, device);
  result.step_s = fastest(request.repetitions, request.seconds, [&] { trainer.step(); });
  result.rss_mb = peak_rss_mb();
  const auto forward = [&] { trainer.network()({.x = Variable(images), .t = t.to(device)}); };
  {
    const Inference scope;
    result.forward_s = fastest(request.repetitions, request.seconds, forward);
  }
  const Cost cost = estimate_cost(config, options.optimizer.batch);
  result.flops = cost.forward_flops * static_cast<double>(options.optimizer.batch);
  result.parameters = cost.parameters;
  result.simd = device == Device::kCpu ? simd_name() : "none";
  if (!request.layers) return result;
  {
    const Inference scope;
    forward();
    result.forward_layers = profile(device, request.repetitions, forward);
  }
  result.step_layers = profile(device, request.repetitions, [&] { trainer.step(); });
  return result;
}

void print_text(const Request& request, const Measured& measured) {
  const int64_t batch = request.options.optimizer.batch;
  const auto per_second = [&](double seconds) { return static_cast<double>(batch) / seconds; };
  print(fmt::format("{} parameters, {} picture{} of {}x{}, {} thread{}, {}\n",
                    short_number(static_cast<double>(measured.parameters)), batch, plural(batch),
                    measured.size.height, measured.size.width, num_threads(), plural(num_threads()),
                    measured.simd));
  print(fmt::format("forward pass   {:.4g} s  {}  {:.3g} images/s\n", measured.forward_s,
                    short_number(measured.flops / measured.forward_s, "FLOP/s"),
                    per_second(measured.forward_s)));
  print(fmt::format("training step  {:.4g} s  {:.3g} images/s\n", measured.step_s,
                    per_second(measured.step_s)));
  print(fmt::format("peak memory    {:.0f} MB\n", measured.rss_mb));
  if (!request.layers) return;
  print_layers("forward pass", measured.forward_layers);
  print_layers("training step", measured.step_layers);
}

void print_json(const Request& request, const Measured& measured) {
  const TrainOptions& options = request.options;
  JsonObject object;
  object.set("forward_s", json_value::write(measured.forward_s));
  object.set("train_step_s", json_value::write(measured.step_s));
  object.set("forward_flops", json_value::write(measured.flops));
  object.set("peak_rss_mb", json_value::write(measured.rss_mb));
  object.set("threads", json_value::write(int64_t{num_threads()}));
  object.set("simd", json_value::write(measured.simd));
  object.set("parameters", json_value::write(measured.parameters));
  write_options(options.network, object);
  object.set("size", json_value::write(options.data.size));
  object.set("batch", json_value::write(options.optimizer.batch));
  if (request.layers) {
    object.set("forward_layers", layers_json(measured.forward_layers));
    object.set("train_step_layers", layers_json(measured.step_layers));
  }
  print(printable_json(object.dump(-1)) + "\n");
}

int run(const Request& request) {
  const Device device = request.machine.apply();
  check_ranges(request);
  const Measured measured = measure(request, device);
  (request.json ? print_json : print_text)(request, measured);
  return 0;
}

}  // namespace

Action bench_command(Flags& flags) {
  const auto request = std::make_shared<Request>();
  TrainOptions& options = request->options;
  options.optimizer.batch = 8;
  flags.add_fields(options.network);
  flags.group("The network");
  request->model_size.declare(flags);
  flags.group("Flags");
  flags.add("channels", request->channels, "channels of the pictures");
  flags.add_fields(options, [](const Field& field) {
    return field.name() == "size" || field.name() == "batch" || field.name() == "recompute";
  });
  flags.add("repetitions", request->repetitions, "number of repetitions; the fastest counts");
  flags.add("seconds", request->seconds, "repeat for at least this many seconds");
  flags.add("json", request->json, "print one line of JSON; forward_flops is for the whole batch");
  flags.add("layers", request->layers,
            "also print the time of every operation by shape, with its algorithm and speed");
  request->machine.declare(flags);
  return [request, &flags] {
    TrainOptions& options = request->options;
    request->model_size.apply(flags, options.network, options.data.size);
    return run(*request);
  };
}

}  // namespace ddpm::cli
