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

namespace {

OptimizerOptions in_parts(OptimizerOptions options) {
  options.micro_batch = std::min(options.batch, OptimizerOptions::kChunk);
  return options;
}

OptimizerOptions with_batch(OptimizerOptions options, int64_t batch) {
  options.batch = batch;
  return options;
}

OptimizerOptions with_recompute(OptimizerOptions options) {
  options.recompute = true;
  return options;
}

// A run, the memory that there is, and what would fit instead.
class RunCheck {
 public:
  RunCheck(const ModelConfig& config, const RunMemoryOptions& run, int64_t data_bytes,
           const AvailableMemory& available)
      : config_(config),
        run_(run),
        data_bytes_(data_bytes),
        available_(available),
        of_address_space_(available.limit == kAddressSpaceLimit),
        others_(static_cast<double>(data_bytes + (of_address_space_
                                                      ? run_address_space(run)
                                                      // Their address space is taken already.
                                                      : run.bytes_to_come))) {}

  bool fits() const { return fits(run_.optimizer); }
  [[noreturn]] void refuse() const;

 private:
  double need(const ModelConfig& config, const RunMemoryOptions& run) const {
    return bytes_or_too_much([&] { return run_memory(config, run).total(); }) + others_;
  }
  double need(const OptimizerOptions& options) const { return need(config_, with(options)); }
  bool fits(const ModelConfig& config, const RunMemoryOptions& run) const {
    return processes(run) * need(config, run) <= room();
  }
  bool fits(const OptimizerOptions& options) const { return fits(config_, with(options)); }

  RunMemoryOptions with(const OptimizerOptions& options) const {
    RunMemoryOptions run = run_;
    run.optimizer = options;
    return run;
  }
  // Those that share the memory. The limit of ulimit is that of each process.
  double processes(const RunMemoryOptions& run) const {
    return static_cast<double>(of_address_space_ ? 1 : run.ranks.on_host);
  }
  double room() const { return static_cast<double>(available_.bytes); }

  int64_t largest_batch(const OptimizerOptions& options) const;
  int64_t most_ranks() const;
  std::vector<std::string> ways() const;
  std::string advice() const;

  const ModelConfig& config_;
  const RunMemoryOptions& run_;
  const int64_t data_bytes_;
  const AvailableMemory& available_;
  const bool of_address_space_;
  // What is not of run_memory().
  const double others_;
};

int64_t RunCheck::largest_batch(const OptimizerOptions& options) const {
  return largest(options.batch, [&](int64_t batch) { return fits(with_batch(options, batch)); });
}

// On this machine. 0 if all would fit, or not even one.
int64_t RunCheck::most_ranks() const {
  if (processes(run_) == 1) return 0;
  return largest(run_.ranks.on_host - 1, [&](int64_t on_host) {
    RunMemoryOptions run = run_;
    run.ranks = {.all = run_.ranks.all - run_.ranks.on_host + on_host, .on_host = on_host};
    return fits(config_, run);
  });
}

std::vector<std::string> RunCheck::ways() const {
  const OptimizerOptions& options = run_.optimizer;
  const OptimizerOptions twice = with_recompute(options);
  std::vector<std::string> ways;
  // The same training in less memory comes first.
  const int64_t least_part = OptimizerOptions::kChunk;
  const bool parted = options.batch <= least_part ||
                      (options.micro_batch > 0 && options.micro_batch <= least_part) ||
                      // Computed at once, a batch has other bits than in parts.
                      (run_.resumed && options.micro_batch == 0);
  if (!parted && fits(in_parts(options)))
    ways.push_back(fmt::format("--micro-batch {}", least_part));
  if (!options.recompute && fits(twice)) ways.emplace_back("--recompute");
  if (!parted && ways.empty() && fits(in_parts(twice)))
    ways.push_back(fmt::format("--micro-batch {} with --recompute", least_part));
  if (!run_.resumed) {
    const int64_t plain = largest_batch(options),
                  less = options.recompute ? plain : largest_batch(twice);
    if (plain > 0) ways.push_back(fmt::format("--batch {}", plain));
    if (less > plain && less < options.batch)
      ways.push_back(fmt::format("--recompute with --batch {}", less));
  }
  if (const int64_t ranks = most_ranks(); ranks > 0)
    ways.push_back(fmt::format("{} rank{} on this machine", ranks, ranks == 1 ? "" : "s"));
  return ways;
}

std::string RunCheck::advice() const {
  std::string text;
  for (const std::string& way : ways()) text += (text.empty() ? "" : ", or ") + way;
  if (!text.empty()) return text + " would fit";
  const OptimizerOptions least = run_.resumed ? run_.optimizer : with_batch(run_.optimizer, 1);
  // A smaller network would not help where threads and libraries take what there is.
  if (of_address_space_ && need(least) - others_ < room()) {
    const auto process = static_cast<double>(process_memory().address_space);
    return fmt::format("ulimit -v {:.0f}{} would do", (process + need(least)) / 1024,
                       run_.resumed ? "" : " with --batch 1");
  }
  if (run_.resumed)
    return "a run keeps its batch and its network, so it needs a machine with more memory";
  return smaller_size(config_,
                      [&](const ModelConfig& smaller) { return fits(smaller, with(least)); });
}

void RunCheck::refuse() const {
  const OptimizerOptions& options = run_.optimizer;
  std::string what = fmt::format("training on {}x{} pictures at --batch {}", config_.height,
                                 config_.width, options.batch);
  if (options.micro_batch > 0) what += fmt::format(" --micro-batch {}", options.micro_batch);
  if (options.recompute) what += " --recompute";
  if (data_bytes_ > 0) what += fmt::format(" (with {} of pictures)", memory_text(data_bytes_));
  if (processes(run_) > 1)
    what += fmt::format(" with {:.0f} ranks on this machine", processes(run_));
  ddpm::refuse("train", what, processes(run_) * need(options), available_, advice());
}

}  // namespace

void require_memory_for_run(const ModelConfig& config, const RunMemoryOptions& asked_for,
                            int64_t data_bytes, const AvailableMemory& available) {
  const RunCheck check(config, asked_for, data_bytes, available);
  if (!check.fits()) check.refuse();
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
