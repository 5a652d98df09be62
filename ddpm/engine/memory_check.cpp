#include "ddpm/engine/memory_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "ddpm/base/error.h"
#include "ddpm/base/memory.h"
#include "ddpm/base/threads.h"
#include "ddpm/engine/cost.h"
#include "ddpm/nn/network.h"
#include "ddpm/tensor/allocator.h"

namespace ddpm {
namespace {

constexpr double kTooMuch = 1e30;

// In double, so that no sum overflows. If the estimate itself is too large for any memory, it
// throws Error. This counts as kTooMuch.
double bytes_or_too_much(const std::function<int64_t()>& estimate) {
  try {
    return static_cast<double>(estimate());
  } catch (const UsageError&) {
    throw;
  } catch (const Error&) {
    return kTooMuch;
  }
}

// Adds what the estimates do not include: the kernels' buffers, one set per thread, and small
// things.
double with_margin(double bytes) {
  // More threads never work at the same time.
  constexpr int kMostThreads = 128;
  return 1.02 * bytes + 2e6 * std::min(num_threads(), kMostThreads) + 8e6;
}

double image_bytes(const ModelConfig& config) {
  return static_cast<double>(config.height) * static_cast<double>(config.width) *
         static_cast<double>(config.network.channels()) * 4;
}

// Of a condition as floats.
double condition_bytes(const ModelConfig& config) {
  return static_cast<double>(config.height) * static_cast<double>(config.width) *
         static_cast<double>(config.network.condition_channels()) * 4;
}

double weight_bytes(const ModelConfig& config) {
  return bytes_or_too_much(
      [&] { return make_network(config.network, Device::kDry)->parameter_count() * 4; });
}

ModelConfig with_size(ModelConfig config, const SamplingMemory& sampling) {
  if (sampling.height > 0) config.height = sampling.height;
  if (sampling.width > 0) config.width = sampling.width;
  return config;
}

// A forward pass of a loaded network over `passed` images.
double pass_bytes(const ModelConfig& config, int64_t passed, bool prepare_weights) {
  const double bytes =
      bytes_or_too_much([&] { return sampling_bytes(config, passed, prepare_weights); });
  return std::max(bytes - weight_bytes(config), 0.0);
}

// What sampling takes in addition to the weights: a forward pass over `passed` images, the
// sampler's tensors (states, estimates, noise), those of guidance, conditions, and the pictures as
// floats and as bytes.
double sampling_need(const ModelConfig& config, const SamplingMemory& sampling, int64_t passed) {
  const auto together = static_cast<double>(std::min(sampling.batch, sampling.count));
  const double kept = sampling.kept ? 1.25 * static_cast<double>(sampling.count) : 0;
  const auto conditions =
      static_cast<double>(sampling.conditions < 0 ? sampling.count : sampling.conditions);
  // The output also holds a variance.
  const double halves = config.process.learned_variance ? 2 : 1;
  const bool twice = sampling.guided || sampling.guide != nullptr;
  double pass = pass_bytes(config, passed, sampling.prepare_weights);
  if (sampling.guide != nullptr) {
    // One network after the other. What each prepared of its weights stays.
    ModelConfig guide = *sampling.guide;
    guide.height = config.height;
    guide.width = config.width;
    const auto both = [&](int64_t of_model, int64_t of_guide) {
      return pass_bytes(config, of_model, sampling.prepare_weights) +
             pass_bytes(guide, of_guide, sampling.prepare_weights);
    };
    pass = sampling.prepare_weights ? std::max(both(passed, 1), both(1, passed))
                                    : std::max(pass, pass_bytes(guide, passed, false));
  }
  return with_margin(pass +
                     image_bytes(config) * ((twice ? 10.0 : 5.0) * halves * together + kept) +
                     condition_bytes(config) * (conditions + (twice ? 2.0 : 1.0) * together) +
                     static_cast<double>(sampling.other_bytes));
}

// The largest value from 1 to `highest` that fits. 0 if none does. If a value fits, so must all
// smaller ones.
int64_t largest(int64_t highest, const std::function<bool(int64_t)>& fits) {
  int64_t good = 0, bad = highest + 1;
  while (good + 1 < bad) {
    const int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

// "--batch 1 with --size 256 would fit" if a smaller size fits. Otherwise suggests a smaller
// network.
std::string smaller_size(const ModelConfig& config, const std::function<bool(ModelConfig)>& fits) {
  const int64_t divisor = config.network.side_divisor();
  for (ModelConfig smaller = config;;) {
    smaller.height = smaller.height / 2 / divisor * divisor;
    smaller.width = smaller.width / 2 / divisor * divisor;
    if (smaller.height < divisor || smaller.width < divisor) break;
    if (!fits(smaller)) continue;
    const std::string size = smaller.height == smaller.width
                                 ? std::to_string(smaller.height)
                                 : fmt::format("{}x{}", smaller.height, smaller.width);
    return fmt::format("--batch 1 with --size {} would fit", size);
  }
  return "a smaller network (--dim, --dim-mults) would need less";
}

std::string text_of_need(double bytes) {
  return bytes >= kTooMuch ? "more memory than any machine has" : memory_text(bytes);
}

[[noreturn]] void refuse(const char* where, const std::string& what, double needed,
                         const AvailableMemory& available, const std::string& advice) {
  fail_usage(where, fmt::format("{} takes {}, but {} leaves {}; {}", what, text_of_need(needed),
                                available.limit, memory_text(available.bytes), advice));
}

}  // namespace

AvailableMemory available_to_tensors() {
  AvailableMemory available = available_memory();
  const AllocatorStats stats = allocator_stats();
  const int64_t waiting = std::max<int64_t>(stats.bytes_reserved - stats.bytes_in_use, 0);
  available.bytes = std::min(available.bytes, std::numeric_limits<int64_t>::max() - waiting);
  available.bytes += waiting;
  return available;
}

void require_memory_for_training(const ModelConfig& config, const OptimizerOptions& options,
                                 int64_t data_bytes) {
  require_memory_for_training(config, options, data_bytes, available_to_tensors());
}

void require_memory_for_training(const ModelConfig& config, const OptimizerOptions& options,
                                 int64_t data_bytes, const AvailableMemory& available) {
  RunMemoryOptions steps{.optimizer = options};
  steps.run.sample_every = steps.run.eval_every = 0;
  require_memory_for_run(config, steps, data_bytes, available);
}

void require_memory_for_run(const ModelConfig& config, const RunMemoryOptions& asked_for,
                            int64_t data_bytes) {
  require_memory_for_run(config, asked_for, data_bytes, available_to_tensors());
}

void require_memory_for_run(const ModelConfig& config, const RunMemoryOptions& asked_for,
                            int64_t data_bytes, const AvailableMemory& available) {
  const OptimizerOptions& options = asked_for.optimizer;
  const bool of_address_space = available.limit == kAddressSpaceLimit;
  const auto data =
      static_cast<double>(data_bytes + (of_address_space ? run_address_space(asked_for)
                                                         // Their address space is taken already.
                                                         : asked_for.bytes_to_come));
  const auto need_of = [&](const ModelConfig& asked, const RunMemoryOptions& run) {
    return bytes_or_too_much([&] { return run_memory(asked, run).total(); }) + data;
  };
  const auto need = [&](const ModelConfig& asked, const OptimizerOptions& changed) {
    RunMemoryOptions run = asked_for;
    run.optimizer = changed;
    return need_of(asked, run);
  };
  // The limit of ulimit is that of each process.
  const auto processes = static_cast<double>(of_address_space ? 1 : asked_for.ranks.on_host);
  const auto fits = [&](const ModelConfig& asked, const OptimizerOptions& changed) {
    return processes * need(asked, changed) <= static_cast<double>(available.bytes);
  };
  if (fits(config, options)) return;

  OptimizerOptions twice = options;
  twice.recompute = true;
  const auto in_parts = [](OptimizerOptions changed) {
    changed.micro_batch = std::min(changed.batch, OptimizerOptions::kChunk);
    return changed;
  };
  const auto with_batch = [](OptimizerOptions changed, int64_t batch) {
    changed.batch = batch;
    return changed;
  };
  std::vector<std::string> ways;
  // The same training in less memory comes first.
  const int64_t least_part = OptimizerOptions::kChunk;
  const bool parted = options.batch <= least_part ||
                      (options.micro_batch > 0 && options.micro_batch <= least_part) ||
                      // Computed at once, a batch has other bits than in parts.
                      (asked_for.resumed && options.micro_batch == 0);
  if (!parted && fits(config, in_parts(options))) {
    ways.push_back(fmt::format("--micro-batch {}", OptimizerOptions::kChunk));
  }
  if (!options.recompute && fits(config, twice)) ways.push_back("--recompute");
  if (!parted && ways.empty() && fits(config, in_parts(twice))) {
    ways.push_back(fmt::format("--micro-batch {} with --recompute", OptimizerOptions::kChunk));
  }
  const auto most = [&](const OptimizerOptions& way) {
    return largest(options.batch,
                   [&](int64_t batch) { return fits(config, with_batch(way, batch)); });
  };
  if (!asked_for.resumed) {
    const int64_t plain = most(options), less = options.recompute ? plain : most(twice);
    if (plain > 0) ways.push_back(fmt::format("--batch {}", plain));
    if (less > plain && less < options.batch)
      ways.push_back(fmt::format("--recompute with --batch {}", less));
  }
  const int64_t fewer = largest(asked_for.ranks.on_host - 1, [&](int64_t on_host) {
    RunMemoryOptions run = asked_for;
    run.ranks = {.all = run.ranks.all - run.ranks.on_host + on_host, .on_host = on_host};
    return processes > 1 && static_cast<double>(on_host) * need_of(config, run) <=
                                static_cast<double>(available.bytes);
  });
  if (fewer > 0)
    ways.push_back(fmt::format("{} rank{} on this machine", fewer, fewer == 1 ? "" : "s"));
  std::string advice;
  for (const std::string& way : ways) advice += (advice.empty() ? "" : ", or ") + way;
  advice += " would fit";
  const OptimizerOptions least = asked_for.resumed ? options : with_batch(options, 1);
  // A smaller network would not help where threads and libraries take what there is.
  if (ways.empty() && of_address_space &&
      need(config, least) - data < static_cast<double>(available.bytes)) {
    const auto process = static_cast<double>(process_memory().address_space);
    advice = fmt::format("ulimit -v {:.0f}{} would do", (process + need(config, least)) / 1024,
                         asked_for.resumed ? "" : " with --batch 1");
  } else if (ways.empty() && asked_for.resumed) {
    advice = "a run keeps its batch and its network, so it needs a machine with more memory";
  } else if (ways.empty()) {
    advice = smaller_size(
        config, [&](const ModelConfig& smaller) { return fits(smaller, with_batch(options, 1)); });
  }
  const std::string pictures =
      data_bytes > 0 ? fmt::format(" (with {} of pictures)", memory_text(data_bytes)) : "";
  refuse("train",
         fmt::format(
             "training on {}x{} pictures at --batch {}{}{}{}{}", config.height, config.width,
             options.batch,
             options.micro_batch > 0 ? fmt::format(" --micro-batch {}", options.micro_batch) : "",
             options.recompute ? " --recompute" : "", pictures,
             processes > 1 ? fmt::format(" with {:.0f} ranks on this machine", processes) : ""),
         processes * need(config, options), available, advice);
}

void require_memory_for_sampling(const ModelConfig& config, const SamplingMemory& sampling) {
  require_memory_for_sampling(config, sampling, available_to_tensors());
}

void require_memory_for_sampling(const ModelConfig& asked, const SamplingMemory& sampling,
                                 const AvailableMemory& available) {
  const ModelConfig config = with_size(asked, sampling);
  const double other = static_cast<double>(sampling.other_bytes);
  const auto need = [&](const ModelConfig& of, int64_t count, int64_t batch, double kept) {
    SamplingMemory changed = sampling;
    changed.count = count;
    changed.batch = batch;
    changed.other_bytes = static_cast<int64_t>(kept);
    return sampling_need(of, changed, std::min(batch, count));
  };
  const auto room = static_cast<double>(available.bytes);
  const double needed = need(config, sampling.count, sampling.batch, other);
  if (needed <= room) return;

  const int64_t batch = largest(std::min(sampling.batch, sampling.count), [&](int64_t pictures) {
    return need(config, sampling.count, pictures, other) <= room;
  });
  // The other memory grows with the number of pictures.
  const double one = other / static_cast<double>(sampling.count);
  const int64_t count = largest(sampling.count / sampling.images_per_n, [&](int64_t n) {
    const int64_t pictures = n * sampling.images_per_n;
    return need(config, pictures, 1, one * static_cast<double>(pictures)) <= room;
  });
  std::string advice;
  if (batch > 0) {
    advice = fmt::format("--batch {} would fit", batch);
  } else if (count > 0) {
    advice = fmt::format("--n {} with --batch 1 would fit", count);
  } else {
    advice = smaller_size(
        config, [&](const ModelConfig& smaller) { return need(smaller, 1, 1, one) <= room; });
  }
  refuse("sample",
         fmt::format("making {} picture{} of {}x{}, {} at a time,", sampling.count,
                     sampling.count == 1 ? "" : "s", config.height, config.width,
                     std::min(sampling.batch, sampling.count)),
         needed, available, advice);
}

bool guidance_fits_in_one_pass(const ModelConfig& config, const SamplingMemory& sampling) {
  return guidance_fits_in_one_pass(config, sampling, available_to_tensors());
}

bool guidance_fits_in_one_pass(const ModelConfig& config, const SamplingMemory& sampling,
                               const AvailableMemory& available) {
  const int64_t both = 2 * std::min(sampling.batch, sampling.count);
  return sampling_need(with_size(config, sampling), sampling, both) <=
         static_cast<double>(available.bytes);
}

void require_memory_for_forward(const ModelConfig& config, int64_t batch) {
  require_memory_for_forward(config, batch, available_to_tensors());
}

void require_memory_for_forward(const ModelConfig& config, int64_t batch,
                                const AvailableMemory& available) {
  const double weights = weight_bytes(config);
  const auto need = [&](int64_t pictures) {
    return with_margin(
        bytes_or_too_much([&] { return sampling_bytes(config, pictures, false); }) - weights +
        (2 * image_bytes(config) + condition_bytes(config)) * static_cast<double>(pictures));
  };
  if (need(batch) <= static_cast<double>(available.bytes)) return;
  const int64_t most = largest(batch, [&](int64_t pictures) {
    return need(pictures) <= static_cast<double>(available.bytes);
  });
  refuse(
      "forward",
      fmt::format("a pass over {} pictures of {}x{}", batch, config.height, config.width),
      need(batch), available,
      most > 0 ? fmt::format("{} at a time would fit", most) : "smaller pictures would need less");
}

}  // namespace ddpm
