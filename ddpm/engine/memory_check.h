// Refuses work that does not fit into memory before it begins, and suggests what would fit.
#pragma once

#include <cstdint>

#include "ddpm/base/memory.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/engine/run_memory.h"
#include "ddpm/engine/train_options.h"

namespace ddpm {

// Throws UsageError if a run takes more memory than there is. `data_bytes` is the memory of
// pictures that are not decoded yet, which is added. The error names what would fit: micro-batches,
// recompute, the largest batch, or a smaller size. config holds the size of the pictures.
void require_memory_for_run(const ModelConfig& config, const RunMemoryOptions& asked_for,
                            int64_t data_bytes);
// The same for the steps of a training alone, without grids and evaluations.
void require_memory_for_training(const ModelConfig& config, const OptimizerOptions& options,
                                 int64_t data_bytes);

// The options that decide the memory of generate(), as in GenerateOptions (generator.h).
struct SamplingMemory {
  int64_t count = 16;
  int64_t batch = 16;
  int64_t height = 0;
  int64_t width = 0;
  bool prepare_weights = true;
  int64_t other_bytes = 0;
  // All pictures are kept until the last is done.
  bool kept = true;
  // The number of conditions; -1: one for each picture.
  int64_t conditions = -1;
  // Each step runs the network twice for each image.
  bool guided = false;
  // The configuration of a model that guides, null for none. It is loaded as well.
  const ModelConfig* guide = nullptr;
  // The images that each unit of --n stands for: with classes or inputs there are several.
  int64_t images_per_n = 1;
};

// The same for generate() with a loaded network.
void require_memory_for_sampling(const ModelConfig& config, const SamplingMemory& sampling);

// Whether there is also memory for one pass over both halves of a guided batch. For small pictures
// that is faster than two passes.
bool guidance_fits_in_one_pass(const ModelConfig& config, const SamplingMemory& sampling);

// The same for one forward pass of a loaded network over all of `batch` pictures at once.
void require_memory_for_forward(const ModelConfig& config, int64_t batch);

// The memory that these functions compare with: the free memory of the system, and the unused
// memory of the allocator.
AvailableMemory available_to_tensors();

// The same with a given amount of memory, for tests.
void require_memory_for_run(const ModelConfig& config, const RunMemoryOptions& asked_for,
                            int64_t data_bytes, const AvailableMemory& available);
void require_memory_for_training(const ModelConfig& config, const OptimizerOptions& options,
                                 int64_t data_bytes, const AvailableMemory& available);
void require_memory_for_sampling(const ModelConfig& asked, const SamplingMemory& sampling,
                                 const AvailableMemory& available);
bool guidance_fits_in_one_pass(const ModelConfig& config, const SamplingMemory& sampling,
                               const AvailableMemory& available);
void require_memory_for_forward(const ModelConfig& config, int64_t batch,
                                const AvailableMemory& available);

}  // namespace ddpm
