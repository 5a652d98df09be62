// What ranks that draw pictures together tell each other. Private to engine/.
#pragma once

#include <cstdint>

#include "ddpm/comm/communicator.h"
#include "ddpm/engine/generator.h"
#include "ddpm/engine/model.h"
#include "ddpm/parallel/shards.h"

namespace ddpm {

// From rank 0 to all.
struct DrawingCommand {
  enum class Kind : int32_t { kEnd, kShare, kDraw };
  Kind kind = Kind::kEnd;
  // kShare: the number of the network.
  int32_t network = 0;
};

// A call of generate().
struct DrawingTask {
  // Numbers of networks. -1: there is no guide.
  int64_t network = 0, guide = -1;
  ModelConfig config, guide_config;
  // Without `guide`, `ranks` and `progress`.
  GenerateOptions options;
};

// Both are called by all ranks. The arguments count on rank 0, and the others get copies of them.
// `networks`: those that were shared, on the other ranks.
DrawingTask broadcast_task(Communicator& ranks, const DrawingTask& task,
                           const std::vector<Model>& networks);
// Returns the network on the other ranks.
Model broadcast_network(Communicator& ranks, Network* network, const ModelConfig& config,
                        Device device);

// To rank 0, before the bytes that it tells of. In each call of generate(), the others send what
// they draw in its order, and at last kEnd, kRefused or kFailed.
struct DrawingMessage {
  enum class Kind : int32_t { kEnd, kImages, kState, kRefused, kFailed };
  Kind kind = Kind::kEnd;
  // kImages: 1. kState: the images and, after the first step, the estimate. kRefused (a
  // UsageError) and kFailed (another one): its text.
  int32_t parts = 0;
  // Of each part.
  int64_t bytes = 0;
};
// Of DrawingMessage and its parts.
inline constexpr int kDrawnTag = 2;
// Of one byte from rank 0 to each of the others, after its last step: the call ends.
inline constexpr int kStopTag = 3;

// Which images a rank draws of those that all draw at the same time. Rank 0 has the most.
Range drawing_part(const Range& round, int rank, int ranks);

}  // namespace ddpm
