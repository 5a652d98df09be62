// Bits per dimension of pictures under a model (diffusion/bits_per_dim.h).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ddpm/data/pictures.h"
#include "ddpm/diffusion/bits_per_dim.h"
#include "ddpm/engine/model_config.h"

namespace ddpm {

class Network;

struct ModelBits {
  double mean = 0;
  // The standard deviation over the pictures, divided by the square root of their number. 0 for one
  // picture.
  double standard_error = 0;
  int64_t count = 0;
};

// Of the pictures at these indices, `batch` at a time; the result does not depend on `batch`. The
// network is told the class of each picture, if both have a class of that name, and gets its
// condition. progress gets the number of pictures done. Throws UsageError as check_has_bound() does
// and if the pictures do not fit the model, and Error if the network's output is not finite.
ModelBits model_bits(const Network& network, const ModelConfig& config, const Pictures& pictures,
                     const std::vector<int64_t>& indices, const BitsOptions& options, int64_t batch,
                     const std::function<void(int64_t done, int64_t total)>& progress = {});

}  // namespace ddpm
