// Turns the time step into the vector that the network's blocks use.
#pragma once

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

// Embedding, Linear ("1"), GELU, Linear ("3"): t [N] -> [N, 4 dim].
class TimeMlp : public Module {
 public:
  TimeMlp(int64_t dim, Device device);
  Variable operator()(const Tensor& t) const;

 private:
  SinusoidalPositionEmbedding embedding_;
  Linear linear1_;
  Linear linear3_;
};

}  // namespace ddpm::tutorial
