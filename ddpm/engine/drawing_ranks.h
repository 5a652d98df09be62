// The ranks of a job that draw pictures together. Rank 0 calls generate() with
// GenerateOptions::ranks as if it were alone, and the others serve it. They read no files: rank 0
// gives them the networks.
#pragma once

#include <cstdint>
#include <vector>

#include "ddpm/comm/communicator.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/tensor/device.h"

namespace ddpm {

class Network;
struct DrawingCommand;

// Of rank 0. From its constructor to its destructor the others must be in serve_drawing(), and the
// communicator must not be used for anything else.
class DrawingRanks {
 public:
  explicit DrawingRanks(Communicator& ranks) : ranks_(ranks) {}
  // Ends serve_drawing() on the others.
  ~DrawingRanks();
  DrawingRanks(const DrawingRanks&) = delete;
  DrawingRanks& operator=(const DrawingRanks&) = delete;

  int size() const { return ranks_.size(); }
  // Gives a network to the others, which generate() can then use, also as a guide. To be called
  // again whenever its weights have changed. It must exist until the last call of generate().
  void share(Network& network, const ModelConfig& config);

  // For DrawingCall. Between a command and done() the others wait for no other command.
  Communicator& communicator() { return ranks_; }
  void tell(const DrawingCommand& command);
  void done() { ready_ = true; }
  // In the order of share(). Throws Error for a network that was not shared.
  int32_t number_of(const Network& network) const;

 private:
  Communicator& ranks_;
  std::vector<const Network*> networks_;
  bool ready_ = true;
};

// For rank 1, 2, ...: draws what rank 0 asks for, until that destroys its DrawingRanks. If this
// fails here, generate() throws on rank 0, and this rank goes on serving. Throws Error if the
// network of rank 0 cannot be made here.
void serve_drawing(Communicator& ranks, Device device = Device::kCpu);

}  // namespace ddpm
