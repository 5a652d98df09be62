// The loss on pictures that a training does not learn from, with fixed noise and fixed levels of
// noise, so that the losses of different steps and of different averages can be compared.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/diffusion/level.h"
#include "ddpm/diffusion/process.h"
#include "ddpm/engine/model_config.h"
#include "ddpm/kernels/arguments.h"
#include "ddpm/nn/network.h"

namespace ddpm {

struct ValidationLoss {
  // The mean loss: that of the training, with its weights of the levels.
  double mean = 0;
  // The mean of each of Validation::kBins parts of the levels, which hold equally many pictures.
  // The first part has the least noise.
  std::vector<double> by_level;
};

struct ValidationOptions {
  LossKind loss = LossKind::kMse;
  uint64_t seed = 0;
  // Of more pictures, those with the smallest hashes are used.
  int64_t most = 1000;
  // Fewer pictures are used several times, each time with another level and another noise, until
  // there are this many.
  int64_t least = 256;
};

class Validation {
 public:
  static constexpr int64_t kBins = 8;

  // pictures: what the training does not learn from. hashes: a number for each picture that follows
  // from the picture alone (data/held_out.h). It determines the picture's noise, together with the
  // seed. The levels are quantiles of the distribution of levels in training, evenly spaced. Throws
  // UsageError if the channels, the conditions or the size do not fit the model.
  Validation(std::shared_ptr<const Pictures> pictures, const std::vector<uint64_t>& hashes,
             const ModelConfig& config, const ValidationOptions& options);

  // How often the network is evaluated on a picture.
  int64_t count() const { return static_cast<int64_t>(uses_.size()); }

  // The network gets the conditions of the pictures, the classes that it knows by name, no earlier
  // estimate, no dropout and no further noise. At most `batch` pictures pass it at once, which
  // changes no bit of the result. go_on() is called before each batch with the number of
  // evaluations that are done. If it returns false, loss() returns nothing. Throws Error if the
  // loss is not finite, and what Pictures::batch() throws.
  std::optional<ValidationLoss> loss(const Network& network, int64_t batch,
                                     const std::function<bool(int64_t done)>& go_on = {}) const;

 private:
  // A picture with its noise and its level.
  struct Use {
    int64_t picture;
    uint64_t noise_seed;
    NoiseLevel level;
    // 0, 1, ..., kBins - 1
    int64_t bin;
  };
  // The losses of uses_[begin ... end - 1].
  std::vector<double> losses(const Network& network, int64_t begin, int64_t end) const;

  std::shared_ptr<const Pictures> pictures_;
  ModelConfig config_;
  // The network's label of each class of the pictures.
  std::vector<int64_t> labels_;
  Process process_;
  LossKind loss_;
  std::vector<Use> uses_;
};

// How many steps to take between validations so that the training sees about 16 pictures for each
// one of a validation, which then takes about 2 % of the time. Rounded up to 1, 2 or 5 times a
// power of ten.
int64_t usual_validation_interval(int64_t count, int64_t batch);

}  // namespace ddpm
