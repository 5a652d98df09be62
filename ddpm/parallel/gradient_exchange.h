// Adds the gradients of all ranks, each parameter's on the rank that updates it, and gives its new
// weights to all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "ddpm/autograd/variable.h"
#include "ddpm/comm/communicator.h"
#include "ddpm/optim/gradient_sum.h"

namespace ddpm {

struct ExchangeOptions {
  // Gradients travel in buckets of about this many bytes, or of less in a small network, so that
  // the first ones leave while others are computed.
  int64_t bucket_bytes = 4 << 20;
  static constexpr int64_t kFewestBuckets = 8;
  // Gradients travel as bfloat16, which halves the bytes and rounds them to 8 bits.
  bool bfloat16 = false;
};

// What this rank has sent so far, and how long it waited.
struct ExchangeFigures {
  int64_t steps = 0;
  int64_t gradient_bytes = 0, weight_bytes = 0;
  // Seconds in which nothing was computed, because gradients or weights were still on their way.
  double waited = 0;
  // The fewest bytes that this rank can send: all but its own part of the gradients once, and its
  // own part of the weights to all others.
  int64_t fewest_bytes = 0;
};

// Every call but proceed() and figures() is made by all ranks in the same order.
class GradientExchange {
 public:
  // Gives the partial sums of a parameter's gradient that this rank sends.
  using Partial = std::function<std::vector<PartialSum>(size_t parameter)>;

  // owners[i] is the rank that updates parameter i. Moves the values of the parameters so that
  // those that travel together lie one after another, and need no copies for it. Copies of these
  // variables that were made before keep the old values.
  GradientExchange(Communicator& ranks, const std::vector<Variable*>& parameters,
                   std::vector<int> owners, const ExchangeOptions& options = {});

  // Before the last forward pass of a step. The sums of rank r are of the parts[r] that it gives:
  // as many, and of the same numbers, as it then has. `partial` is called once for each parameter
  // as soon as its gradient is complete: when the tape holds its slot no longer.
  void begin(std::vector<std::vector<PartialSum>> sums_of_ranks, Partial partial);
  // Sends what is complete, and lets what was sent proceed. To be called during the backward pass.
  void proceed();
  // After the backward pass. Throws Error if a gradient was not complete when it was sent. The
  // gradients of the parameters are then the sums over all ranks, in the order of the parts. Only
  // parameters of this rank have one.
  void finish();
  // The new weights of each parameter, from its owner to all ranks.
  void share_weights();

  const ExchangeFigures& figures() const { return figures_; }

 private:
  struct Bucket {
    std::vector<size_t> parameters;
    // The elements of those that each rank updates.
    std::vector<int64_t> elements;
    // Their values, those of rank 0 first, and the bytes of those of each rank.
    Tensor weights;
    std::vector<size_t> weight_sizes;
    // The partial sums of this rank's own parameters.
    std::vector<std::vector<PartialSum>> own;
    // Partial sums as they travel.
    Tensor sent, received;
    std::vector<size_t> sent_sizes, received_sizes;
    PendingComm operation;
  };

  void make_buckets();
  void count_fewest_bytes();
  void place_weights(const std::vector<Variable*>& parameters);
  bool is_mine(size_t parameter) const { return owners_[parameter] == ranks_.rank(); }
  bool is_complete(const Bucket& bucket) const;
  void send(Bucket& bucket);
  // Takes the partial sums of the bucket's parameters. `sums`: how many there are of each.
  void pack(Bucket& bucket, size_t sums);
  void add_up(Bucket& bucket);
  // The partial sum that begins at this byte of what was received.
  Tensor received_sum(Bucket& bucket, size_t at, const Shape& shape) const;
  void wait(CommOperation& operation);

  Communicator& ranks_;
  std::vector<Variable> parameters_;
  std::vector<int> owners_;
  ExchangeOptions options_;
  // From the last parameter to the first, in which order their gradients become complete.
  std::vector<Bucket> buckets_;
  ExchangeFigures figures_;

  std::vector<std::vector<PartialSum>> sums_of_ranks_;
  Partial partial_;
  // The next bucket to be sent, and how many holders each slot has between passes.
  size_t next_ = 0;
  std::vector<long> holders_;
};

}  // namespace ddpm
