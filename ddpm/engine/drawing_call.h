// A call of generate() as rank 0 sees it: what the other ranks draw for it. Private to engine/.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/comm/communicator.h"
#include "ddpm/engine/drawing_messages.h"
#include "ddpm/engine/drawing_ranks.h"
#include "ddpm/engine/generator.h"
#include "ddpm/parallel/shards.h"

namespace ddpm {

class DrawingCall {
 public:
  // Tells the other ranks what to draw. image: [H, W, C].
  DrawingCall(DrawingRanks& ranks, const Network& network, const ModelConfig& config,
              const GenerateOptions& options, const Shape& image);
  DrawingCall(const DrawingCall&) = delete;
  DrawingCall& operator=(const DrawingCall&) = delete;

  int size() const { return ranks_.size(); }
  Range part(const Range& round, int rank) const { return drawing_part(round, rank, size()); }

  // Throws Error if another rank has told that it failed. Does not wait.
  void check();
  // The next images, or with GenerateOptions::all_states the next state, of a rank. [count, H, W,
  // C] each. Throw Error if that rank has failed.
  Tensor images(int rank, int64_t count);
  struct State {
    Tensor x;
    // Undefined before the first step.
    Tensor x0;
  };
  State state(int rank, int64_t count);

  // Must be called once, at the end or after an exception. Stops what the others still draw, and
  // waits until they are ready for the next command.
  void finish();

 private:
  struct Other {
    DrawingMessage message;
    // Of the message.
    PendingComm receiving;
    bool ended = false;
  };

  Other& other(int rank) { return others_[static_cast<size_t>(rank) - 1]; }
  void listen(int rank);
  void take_failure(int rank);
  std::vector<Tensor> receive(int rank, DrawingMessage::Kind kind, int64_t count);
  void discard(int rank);

  DrawingRanks& drawing_;
  Communicator& ranks_;
  const Shape image_;
  // Rank 1, 2, ...
  std::vector<Other> others_;
};

}  // namespace ddpm
