// What a network makes of the numbers that tell how a picture was augmented. Any family may have
// it, in its time embedding.
#pragma once

#include <cstdint>

#include "ddpm/nn/module.h"

namespace ddpm {

// A linear layer without bias, weight [channels, width], whose output is added to the embedding of
// the noise level before the layers that follow it. It is called "map_augment" there, as in EDM
// (Karras et al. 2022, arXiv:2206.00364). Without a bias, zeros change nothing. For 0 channels
// there is no layer.
class AugmentEmbedding : public Module {
 public:
  struct Options {
    int64_t channels = 0;
    int64_t width = 0;
  };
  AugmentEmbedding(const Options& options, Device device);

  // embedding [N, width], augment [N, channels] or empty, which stands for zeros.
  Variable added_to(const Variable& embedding, const Tensor& augment) const;

 private:
  Parameter weight_;
};

}  // namespace ddpm
