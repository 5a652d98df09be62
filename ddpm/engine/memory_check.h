// Refuses what will not fit into memory, before it begins, and says what would.
#pragma once

#include <cstdint>

#include "ddpm/base/memory.h"
#include "ddpm/engine/model_config.h"

namespace ddpm {

// Throws UsageError where a training step on batches of `batch` pictures, beside data_bytes of
// decoded pictures, takes more memory than there is; names the largest batch that fits, or a
// smaller size. config holds the size of the pictures.
void require_memory_for_training(const ModelConfig& config, int64_t batch, bool recompute,
                                 int64_t data_bytes);

// What generate() takes memory for, as GenerateOptions (generator.h) has it.
struct SamplingMemory {
  int64_t count = 16;
  int64_t batch = 16;
  int64_t height = 0;
  int64_t width = 0;
  bool prepare_weights = true;
  int64_t other_bytes = 0;
};

// The same for generate() with a network that is loaded.
void require_memory_for_sampling(const ModelConfig& config, const SamplingMemory& sampling);

// The same for one pass of a loaded network over all of `batch` pictures at once.
void require_memory_for_forward(const ModelConfig& config, int64_t batch);

// What these compare with: what the system would give, and what the allocator holds unused.
AvailableMemory available_to_tensors();

// The same beside a given memory, for tests.
void require_memory_for_training(const ModelConfig& config, int64_t batch, bool recompute,
                                 int64_t data_bytes, const AvailableMemory& available);
void require_memory_for_sampling(const ModelConfig& asked, const SamplingMemory& sampling,
                                 const AvailableMemory& available);
void require_memory_for_forward(const ModelConfig& config, int64_t batch,
                                const AvailableMemory& available);

}  // namespace ddpm
