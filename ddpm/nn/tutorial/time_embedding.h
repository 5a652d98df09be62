// Turns the time step into the vector that the network's blocks use.
#pragma once

#include "ddpm/nn/augment_embedding.h"
#include "ddpm/nn/layers.h"

namespace ddpm::tutorial {

// t [N] -> [N, dim]: sines in the even columns, cosines in the odd columns (Vaswani et al. 2017,
// section 3.5).
class SinusoidalPositionEmbedding : public Module {
 public:
  // Throws UsageError for an odd or non-positive width.
  explicit SinusoidalPositionEmbedding(int64_t dim);
  Tensor operator()(const Tensor& t) const;

 private:
  int64_t dim_;
};

// Embedding, Linear ("1"), GELU, Linear ("3"): t [N] -> [N, 4 dim]. With augment channels, what
// their layer ("map_augment") makes of `augment` is added to the embedding.
class TimeMlp : public Module {
 public:
  struct Options {
    int64_t dim = 0;
    int64_t augment_channels = 0;
  };
  TimeMlp(const Options& options, Device device);
  Variable operator()(const Tensor& t, const Tensor& augment = {}) const;

 private:
  SinusoidalPositionEmbedding embedding_;
  AugmentEmbedding augment_;
  Linear linear1_;
  Linear linear3_;
};

}  // namespace ddpm::tutorial
