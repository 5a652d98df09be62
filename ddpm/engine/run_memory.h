// The memory that a training run takes, before it runs.
#pragma once

#include <cstdint>

#include "ddpm/comm/communicator.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

// The ranks of a job that trains. `on_host`: those on the machine of rank 0, which share its
// memory.
struct RankCount {
  int64_t all = 1;
  int64_t on_host = 1;
};
// ranks may be null: a process alone.
RankCount count_ranks(const Communicator* ranks);

// What decides the memory of a run besides its network.
struct RunMemoryOptions {
  OptimizerOptions optimizer;
  // With sample_every and eval_every 0, nothing is drawn.
  RunOptions run;
  // The number of pictures.
  int64_t pictures = 0;
  // Pictures::bytes_to_come()
  int64_t bytes_to_come = 0;
  // Whether the loss on pictures held out is measured.
  bool validates = false;
  // The pictures are not loaded yet, and will be decoded.
  bool before_loading = false;
  // What was mapped while they were loaded: libraries, and the stacks and heaps of threads.
  int64_t mapped = 0;
  RankCount ranks;
  // The run was started with these options, so most of them cannot change.
  bool resumed = false;
};

// In bytes, of rank 0. At most of the system, beside what the process holds when its pictures are
// loaded.
struct RunMemory {
  // What the allocator takes for the tensors of the training, of grids, evaluations and
  // validations. The gaps between blocks count.
  int64_t tensors = 0;
  // Buffers of the kernels, stacks of the threads, and what is not in tensors.
  int64_t buffers = 0;

  int64_t total() const { return tensors + buffers; }
};

// What a run takes of address space (ulimit -v) beside its memory: for the stacks and heaps of its
// threads and of those that draw curves, for libraries that it loads, and for the ends of segments.
int64_t run_address_space(const RunMemoryOptions& asked);

// How many pictures of a sample grid or of a validation pass the network together. They are few, so
// that a request to stop is noticed soon.
int64_t grid_batch(int64_t height, int64_t width);

// Runs two steps on Device::kDry, what is drawn, and a validation. Takes no memory. Throws as
// training_bytes().
RunMemory run_memory(const ModelConfig& config, const RunMemoryOptions& options);

}  // namespace ddpm
