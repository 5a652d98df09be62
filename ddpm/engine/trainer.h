// The core of the training loop: does one optimizer step at a time on batches in memory. It reads
// no files, writes no pictures and prints nothing. run.h adds a run directory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ddpm/autograd/functions.h"
#include "ddpm/comm/communicator.h"
#include "ddpm/data/pictures.h"
#include "ddpm/diffusion/noised_batch.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/kernels/arguments.h"
#include "ddpm/nn/network.h"
#include "ddpm/optim/averages.h"
#include "ddpm/optim/gradient_sum.h"
#include "ddpm/optim/optimizer.h"
#include "ddpm/parallel/gradient_exchange.h"
#include "ddpm/parallel/shards.h"

namespace ddpm {

struct StepMetrics {
  // 1, 2, ...
  int64_t step = 0;
  double loss = 0;
  // Before clipping.
  double gradient_norm = 0;
  double learning_rate = 0;
  // Why the step was skipped, and empty if it was not.
  std::string skipped;
  // The seconds that each rank computed gradients, without waiting for others. Empty if the trainer
  // is alone.
  std::vector<double> rank_seconds;
};

// Returns the pictures of step 0, 1, ... They must depend on the step alone, so that a resumed run
// continues exactly. On several ranks, those of Trainer::own_pictures(); it is not called if there
// are none.
using BatchSource = std::function<Batch(int64_t step)>;

class DrawingRanks;
class TrainerRanks;

// On several ranks, each has a Trainer of the same options. That of rank 0 is used as if it were
// alone, and the others serve() it. Each rank computes the gradients of a part of the pictures,
// updates some of the parameters, and holds the optimizer's state and the averages of these only.
class Trainer {
 public:
  // The network's initial weights depend on options.seed. Throws UsageError if options and pictures
  // do not fit.
  Trainer(const OptimizerOptions& options, const ModelConfig& config, BatchSource batches,
          Device device = Device::kCpu);
  // One of several ranks. Also throws UsageError if micro-batches are needed to add gradients in
  // order (options.reduce).
  Trainer(const OptimizerOptions& options, const ModelConfig& config, BatchSource batches,
          Communicator& ranks);
  // That of rank 0 ends serve() on the others.
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // Does one step (Ho et al. 2020, algorithm 1): random noise levels, noised images, loss,
  // gradients, optimizer, averages. The network gets labels and conditions if it takes them.
  // Pictures are augmented if it is told so (Karras et al. 2022, arXiv:2206.00364, appendix F.2). A
  // share label_dropout of the labels, chosen at random, is replaced by "no class". A network that
  // takes an earlier estimate gets its own in every second step on average, computed without
  // gradients (Chen et al. 2022, arXiv:2208.04202). With micro-batches, the gradients of fixed
  // chunks of the batch are added in a fixed order (options.micro_batch, options.chunk()). If the
  // pictures, the loss or the gradient are not finite, the step is skipped: it counts, but changes
  // nothing else.
  StepMetrics step();
  // Skips a step without computing it.
  void skip() { ++steps_; }
  // The number of steps done or skipped so far.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  // The learning rate of the following steps is that of the options times this.
  void set_rate_factor(double factor) { rate_factor_ = factor; }
  // How much of its fall the learning rate has behind it in the next step, between 0 and 1, for a
  // training whose number of steps is not known: p in optim/learning_rate.h. Without a value it
  // follows from the options.
  void set_decayed(std::optional<double> share) { decayed_ = share; }
  // Goes back to the state before the first step. The tensors keep their storage.
  void restart();
  // What usually helps if the loss or the gradient is not finite.
  std::string advice() const;

  const ModelConfig& config() const { return config_; }
  Network& network() { return *network_; }
  Optimizer& optimizer() { return *optimizer_; }
  // All averages of the weights. The first is that which samples are drawn with.
  std::vector<NamedAverage> averages() const { return all_averages(*optimizer_, averages_); }
  // A network with the first average. If the trainer is alone, it shares the storage. Otherwise
  // refresh() copies the present values.
  std::unique_ptr<Network> averaged_network();
  void refresh(Network& averaged);

  // For rank 1, 2, ...: does its part of all calls of rank 0, until that ends.
  void serve();
  // Which pictures of each batch this rank is given.
  Range own_pictures() const;
  // Tensors of optimizer().state() and averages() that another rank holds have no values here.
  // These two read and write them. They may be called for tensors with values, too.
  Tensor fetch(const Tensor& tensor);
  std::vector<Tensor> fetch_all(std::vector<Tensor> tensors);
  void deliver(Tensor place, const Tensor& values);
  // After all of the state was replaced on rank 0: gives the weights and the number of steps to the
  // others.
  void share();
  // The other ranks, to draw pictures with this network. Null if the trainer is alone. While it
  // exists, nothing else of the trainer may be called.
  std::unique_ptr<DrawingRanks> drawing_ranks(Network& network);
  // What this rank has sent to others. Nothing if the trainer is alone.
  std::optional<ExchangeFigures> exchange_figures() const;
  // Whether the weights, the state and the averages are finite.
  bool has_finite_state();

 private:
  Trainer(const OptimizerOptions& options, const ModelConfig& config, BatchSource batches,
          Communicator* ranks, Device device);
  // The input of the network in a step. Picture n is number first + n of the run.
  NetworkInput input_of(const Batch& pictures, const NoisedBatch& noised, uint64_t first) const;
  // What the network is told of each picture besides its noisy form.
  std::vector<Tensor> told(const Batch& pictures) const;
  Loss loss_of(const NoisedBatch& noised, const Variable& output) const;
  // Adds the gradients of all pictures. Returns their mean loss, or NaN or infinity as soon as
  // that of a part is not finite.
  double add_all_gradients(Batch pictures);
  double add_gradients_of_ranks(const Batch& pictures, const ImageRange& batch);
  StepMetrics do_step();
  // The pictures of the step. Nothing if a rank has no pictures, which rank 0 throws as an Error.
  std::optional<Batch> next_batch();
  // What is wrong with the pictures of the step. Empty if nothing is.
  std::string fault_of(const Batch& pictures);
  void restart_here();
  bool is_finite_here() const;
  // Adds the gradients of a part of a batch to those of the parameters. `first` is the number of
  // its first picture in the run. Returns what the part adds to the mean loss of the batch. If that
  // is not finite, there are no gradients.
  double add_gradients(const Batch& part, uint64_t first, const ImageRange& batch,
                       const std::function<void()>& after_each_closure = {});

  OptimizerOptions options_;
  ModelConfig config_;
  BatchSource batches_;
  Process process_;
  LossKind loss_;
  std::unique_ptr<Network> network_;
  // Null if the trainer is alone.
  std::unique_ptr<TrainerRanks> ranks_;
  std::unique_ptr<Optimizer> optimizer_;
  Averages averages_;
  GradientSum sum_;
  int64_t steps_ = 0;
  double rate_factor_ = 1;
  std::optional<double> decayed_;
};

}  // namespace ddpm
