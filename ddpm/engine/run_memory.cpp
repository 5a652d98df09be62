#include "ddpm/engine/run_memory.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "ddpm/base/threads.h"
#include "ddpm/engine/dry_training.h"
#include "ddpm/engine/evaluation_parts.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/eval/features.h"
#include "ddpm/kernels/dry/dry_backend.h"
#include "ddpm/nn/network.h"
#include "ddpm/optim/gradient_sum.h"
#include "ddpm/parallel/gradient_exchange.h"
#include "ddpm/parallel/shards.h"
#include "ddpm/tensor/dry_memory.h"

namespace ddpm {
namespace {

Tensor floats(int64_t count) { return Tensor({count}, DType::kFloat32, Device::kDry); }
Tensor bytes(int64_t count) { return Tensor({count}, DType::kUInt8, Device::kDry); }

int64_t values_of_picture(const ModelConfig& config) {
  return config.height * config.width * config.network.channels();
}

// Draws `count` pictures, `batch` at a time: the network, the tensors of a sampler (the state, the
// estimate, the noise, the estimates of earlier steps, their sum), and all pictures as floats and
// as bytes.
void draw(const Network& network, const ModelConfig& config, int64_t count, int64_t batch) {
  constexpr int64_t kOfSampler = 5;
  const int64_t together = std::min(count, batch);
  const int64_t halves = config.process.learned_variance ? 2 : 1;
  const Tensor all = floats(count * values_of_picture(config));
  {
    const Tensor sampler = floats(kOfSampler * halves * together * values_of_picture(config));
    network(dry_input(network, config, together));
  }
  bytes(count * values_of_picture(config));
}

void draw_grid(const Network& network, const ModelConfig& config, const RunOptions& run) {
  draw(network, config, run.sample_count, grid_batch(config.height, config.width));
}

void evaluate(const Network& network, const ModelConfig& config, const RunMemoryOptions& options) {
  const int64_t width = random_features()->width(), values = values_of_picture(config);
  const int64_t real = std::min(options.pictures, kMostReal), drawn = options.run.eval_n;
  const int64_t part = pictures_of_part(values);
  {
    const Tensor features = floats(real * width), pictures = floats(std::min(part, real) * values),
                 as_bytes = bytes(std::min(part, real) * values);
  }
  const Tensor features = floats(drawn * width);
  constexpr int64_t kBatch = 16;
  draw(network, config, std::min(part, drawn), kBatch);
}

// The pictures, their noise, the network's input, its target, and the parts of each picture.
void validate(const Network& network, const ModelConfig& config) {
  constexpr int64_t kOfPicture = 6;
  const int64_t batch = grid_batch(config.height, config.width);
  const Tensor noised = floats(kOfPicture * batch * values_of_picture(config));
  network(dry_input(network, config, batch));
}

// A save converts one tensor after the other to the order of the file.
void save(Network& network) {
  int64_t largest = 0;
  for (const NamedParameter& named : network.parameters())
    largest = std::max(largest, named.parameter->variable.value().elements());
  floats(largest);
}

// Rank 0 computes the gradients of some chunks of a batch.
OptimizerOptions options_of_rank(OptimizerOptions options, int64_t ranks) {
  const int64_t chunk = options.reduce == "exact" ? options.chunk() : 1;
  const int64_t chunks = (options.batch + chunk - 1) / chunk;
  options.batch = std::min((chunks + ranks - 1) / ranks * chunk, options.batch);
  return options;
}

// How many sums of each gradient the ranks after this one send.
int64_t sums_of_others(const OptimizerOptions& options, int ranks) {
  if (options.reduce != "exact") return ranks - 1;
  const int64_t chunks = (options.batch + options.chunk() - 1) / options.chunk();
  int64_t sums = 0;
  for (int rank = 1; rank < ranks; ++rank) {
    const Range own = part_of_rank(chunks, rank, ranks);
    sums += std::ssize(partial_sums(own.begin, own.count()));
  }
  return sums;
}

// What rank 0 takes more than a process alone. Usually it is less than zero, because other ranks
// keep parts of the optimizer's state and of the averages.
int64_t more_bytes(Trainer& trainer, const OptimizerOptions& options, int ranks) {
  if (ranks == 1) return 0;
  std::vector<int64_t> elements;
  for (const NamedParameter& named : trainer.network().parameters())
    elements.push_back(named.parameter->variable.value().elements());
  const std::vector<int> owners = owners_of(elements, ranks);
  int64_t more = 0;
  const auto leave_out = [&](const Tensor& tensor, size_t parameter) {
    if (owners[parameter] != 0) more -= tensor.bytes();
  };
  for (const StateTensor& state : trainer.optimizer().state())
    leave_out(state.tensor, state.parameter);
  for (const NamedAverage& average : trainer.averages()) {
    for (size_t i = 0; i < average.values.size(); ++i) leave_out(average.values[i], i);
  }
  const int64_t bytes_each = options.reduce_type == "bfloat16" ? 2 : 4;
  const int64_t received = sums_of_others(options, ranks) * bytes_each;
  for (size_t i = 0; i < owners.size(); ++i) {
    // A large gradient is sent from its own place.
    const bool copied = elements[i] * 4 < ExchangeOptions().bucket_bytes;
    more += elements[i] * (owners[i] == 0 ? received : copied ? bytes_each : 0);
    // The averaged network, which shares the average of a process alone.
    more += elements[i] * 4;
  }
  return more;
}

}  // namespace

RankCount count_ranks(const Communicator* ranks) {
  if (ranks == nullptr) return {};
  const std::vector<std::string>& hosts = ranks->hosts();
  return {.all = ranks->size(), .on_host = std::ranges::count(hosts, hosts.front())};
}

int64_t grid_batch(int64_t height, int64_t width) {
  return std::clamp<int64_t>(16 * 32 * 32 / (height * width), 1, 16);
}

int64_t run_address_space(const RunMemoryOptions& asked) {
  // Of a thread: a stack of 8 MiB, and room in which a heap of 64 MiB finds an aligned place.
  // Without such a place a thread uses the common heap. The library that draws curves starts three
  // threads.
  constexpr int64_t kStack = 8 << 20, kHeap = 64 << 20, kDrawingThreads = 3;
  constexpr int64_t kLibraries = 32 << 20, kSegments = 32 << 20, kMostThreads = 128;
  // Measured: what the decoders of pictures leave behind besides that.
  constexpr int64_t kDecoding = 80 << 20;
  const int64_t workers = std::min<int64_t>(num_threads(), kMostThreads) - 1;
  const int64_t of_loading = workers * (kStack + kHeap) + kLibraries;
  const int64_t others = kDrawingThreads * kStack + kHeap + kSegments;
  if (asked.before_loading) return of_loading + kDecoding + others;
  return std::max<int64_t>(of_loading - asked.mapped, 0) + others;
}

RunMemory run_memory(const ModelConfig& config, const RunMemoryOptions& options) {
  config.network.check_image(config.height, config.width);
  DryMemory memory;
  const int ranks = static_cast<int>(options.ranks.all);
  DryTraining training(config, options_of_rank(options.optimizer, ranks));
  const std::unique_ptr<Network> averaged = training.trainer().averaged_network();
  // The second step finds the blocks of the first one in other places. SOAP computes its update
  // only from the second step on.
  for (int step = 0; step < 2; ++step) training.trainer().step();
  save(*averaged);
  if (options.run.sample_every > 0) draw_grid(*averaged, config, options.run);
  if (options.run.eval_every > 0) evaluate(*averaged, config, options);
  if (options.validates) validate(*averaged, config);
  take_dry_flops();
  RunMemory result{.tensors = memory.bytes_reserved() + training.bytes_of_further_chunks() +
                              more_bytes(training.trainer(), options.optimizer, ranks)};
  // Measured. A thread: the scratch memory of its kernels, and its stack. The process: what the
  // curve of the loss, the grid and small blocks take, and the code that is then in use.
  constexpr int64_t kThread = 1'500'000, kProcess = 13'000'000, kMostThreads = 128;
  result.buffers = kProcess + kThread * std::min<int64_t>(num_threads(), kMostThreads);
  return result;
}

}  // namespace ddpm
