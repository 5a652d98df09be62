// A network, its inputs and a training on Device::kDry, for estimates of their cost.
#pragma once

#include <cstdint>
#include <memory>

#include "ddpm/engine/model_config.h"
#include "ddpm/engine/train_options.h"
#include "ddpm/engine/trainer.h"
#include "ddpm/nn/network.h"

namespace ddpm {

// `count` images with all that the network takes.
NetworkInput dry_input(const Network& network, const ModelConfig& config, int64_t count);

// A training whose steps compute nothing. Of a batch in many chunks only two are run, because all
// are alike.
class DryTraining {
 public:
  DryTraining(const ModelConfig& config, const OptimizerOptions& options);

  Trainer& trainer() { return trainer_; }
  // What the chunks that are not run would add: their pictures, and one more sum of gradients for
  // each further power of kGradientGroup.
  int64_t bytes_of_further_chunks();

 private:
  int64_t batch() const;

  ModelConfig config_;
  OptimizerOptions options_;
  Trainer trainer_;
};

}  // namespace ddpm
