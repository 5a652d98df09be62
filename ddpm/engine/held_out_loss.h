// The loss of a model on given pictures, on fixed noise and levels of noise. Values of several
// models on the same pictures can be compared: all models get the same noise.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/engine/model_config.h"

namespace ddpm {

class Network;

struct HeldOutOptions {
  // How often each picture is noised, each time with other noise at another level.
  int64_t repeats = 4;
  uint64_t seed = 0;
  // How many noised pictures pass the network together. The loss does not depend on it.
  int64_t batch = 16;
  // Gets the number of noised pictures that are done, and of all. May be empty.
  std::function<void(int64_t done, int64_t total)> progress = {};
};

// The mean over the pictures at these indices of the squared error of the network, with the weights
// and the distribution of levels of its objective: the loss "mse" of a training, without the
// variational bound and without input perturbation. The network is told the class of each picture,
// if both have a class of that name, gets its condition, and no earlier estimate. Throws UsageError
// if there are no indices or the pictures do not fit the model, and Error if the network's output
// is not finite.
double held_out_loss(const Network& network, const ModelConfig& config, const Pictures& pictures,
                     const std::vector<int64_t>& indices, const HeldOutOptions& options = {});

}  // namespace ddpm
