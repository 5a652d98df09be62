// The part of a trainer that talks to those of the other ranks of a job. Rank 0 tells the others
// what to do next; they have no will of their own. Private to engine/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ddpm/comm/communicator.h"
#include "ddpm/data/pictures.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/nn/network.h"
#include "ddpm/optim/averages.h"
#include "ddpm/optim/optimizer.h"
#include "ddpm/parallel/gradient_exchange.h"
#include "ddpm/parallel/shards.h"

namespace ddpm {

// What the other ranks are to do.
struct RankCommand {
  enum class Kind : int32_t {
    kStep,
    kRestart,
    kShare,
    kFetch,
    kDeliver,
    kCheckFinite,
    kDraw,
    kEnd
  };
  Kind kind = Kind::kEnd;
  // kStep: whether `decayed` is set.
  int32_t has_decayed = 0;
  // kStep: the steps done so far, kShare: those of the optimizer, kFetch and kDeliver: the number
  // of a tensor.
  int64_t number = 0;
  double rate_factor = 1;
  double decayed = 0;
};

class TrainerRanks {
 public:
  TrainerRanks(Communicator& ranks, const OptimizerOptions& options, Network& network);

  Communicator& ranks() { return ranks_; }
  bool leads() const { return ranks_.rank() == 0; }
  // Which parameters this rank updates.
  std::vector<bool> updated() const;
  // Names the tensors of the state, of which each rank holds a part.
  void number_state(const Optimizer& optimizer, const Averages& averages);

  // Of rank 0: the command, to all.
  void tell(const RankCommand& command);
  // Of the others: waits for it.
  RankCommand next_command();
  // Whether rank 0 may tell the next command: false while they do one, and after it failed in the
  // middle.
  bool ready = true;

  // The pictures of a batch, and the chunks of a batch, whose gradients this rank computes.
  Range pictures() const { return pictures_of(ranks_.rank()); }
  int64_t first_chunk() const { return chunks_of(ranks_.rank()).begin; }
  bool adds_in_order() const { return options_.reduce == "exact"; }
  // Before the last pass of a step; see GradientExchange.
  void begin_exchange(GradientSum& sum);
  GradientExchange& exchange() { return exchange_; }

  // Whether the pictures of a step are there on all ranks. `failure`: why not on this rank. Throws
  // PicturesLost on rank 0 if not.
  bool agree(const std::string& failure);
  // Something that is wrong with a rank's pictures: 0 for nothing. Returns the smallest of the
  // ranks.
  struct Fault {
    int32_t kind = 0;
    float value = 0;
  };
  Fault first_fault(const Fault& mine);
  // The losses of all chunks in their order, given those of this rank.
  std::vector<double> all_losses(std::vector<double> mine);
  // Optimizer::gradient_norm() of all ranks.
  double gradient_norm(const Optimizer& optimizer);
  bool all(bool mine);

  // Both on all ranks. The tensor with this number, to `values` of rank 0.
  void fetch(int64_t number, Tensor values);
  // `values`: on rank 0.
  void deliver(int64_t number, const Tensor& values);
  // The number of a tensor without values. Throws Error if it is not of the state.
  int64_t number_of(const Tensor& place) const;
  // The weights of rank 0, to all.
  void share_network();

 private:
  Range chunks_of(int rank) const;
  Range pictures_of(int rank) const;

  Communicator& ranks_;
  OptimizerOptions options_;
  std::vector<int> owners_;
  // It moves the weights of the network, so it comes before those who share them.
  GradientExchange exchange_;
  std::vector<Variable> parameters_;
  struct StatePlace {
    Tensor tensor;
    int owner;
  };
  std::vector<StatePlace> state_;
  std::map<std::pair<const void*, int64_t>, int64_t> numbers_;
};

}  // namespace ddpm
