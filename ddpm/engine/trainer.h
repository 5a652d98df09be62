// The training loop's core: one optimizer step at a time over pictures in memory. No files, no
// pictures, no printing; run.h puts a run directory around it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/kernels/arguments.h"
#include "ddpm/nn/network.h"
#include "ddpm/optim/adam.h"

namespace ddpm {

struct StepMetrics {
  int64_t step = 0;  // 1, 2, ...
  double loss = 0;
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
};

// The pictures of step 0, 1, ... Must be a function of the step alone for a resumed run to continue
// exactly.
using BatchSource = std::function<Batch(int64_t step)>;

class Trainer {
 public:
  // The network starts from options.seed. Throws UsageError where options and pictures do not fit.
  Trainer(const OptimizerOptions& options, const ModelConfig& config, BatchSource batches,
          Device device = Device::kCpu);

  // One step (Ho et al. 2020, algorithm 1): random levels of noise, noised images, loss, gradients,
  // Adam, average. The network is told labels and conditions where it takes them. Throws Error when
  // the loss or the gradient is no longer finite, before the weights are touched.
  StepMetrics step();
  // Steps done so far.
  int64_t steps() const { return adam_.steps(); }

  const ModelConfig& config() const { return config_; }
  Network& network() { return *network_; }
  Adam& adam() { return adam_; }
  // A network that shares the averaged weights' storage: what samples are drawn with.
  std::unique_ptr<Network> averaged_network();

 private:
  OptimizerOptions options_;
  ModelConfig config_;
  BatchSource batches_;
  Process process_;
  LossKind loss_;
  std::unique_ptr<Network> network_;
  Adam adam_;
};

}  // namespace ddpm
