// The embedding of the level of noise.
#pragma once

#include <memory>

#include "ddpm/nn/augment_embedding.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/lucidrains/rms_norm.h"

namespace ddpm::lucidrains {

// Frequencies ("weights" [dim / 2]) that are learnt, or drawn once and then fixed: t [N] -> [N, dim
// + 1].
class FourierEmbedding : public Module {
 public:
  FourierEmbedding(int64_t dim, bool trained, Device device);
  Variable operator()(const Tensor& t) const { return fourier_embedding(t, weights_.variable); }

 private:
  Parameter weights_;
};

// An embedding ("0"), Linear ("1"), GELU, Linear ("3"): t [N] -> [N, 4 dim]. With augment channels,
// what their layer ("map_augment") makes of `augment` is added to the embedding.
class TimeMlp : public Module {
 public:
  TimeMlp(const UnetConfig& config, Device device);
  Variable operator()(const Tensor& t, const Tensor& augment = {}) const;

 private:
  int64_t dim_;
  double theta_;
  AugmentEmbedding augment_;
  std::unique_ptr<FourierEmbedding> fourier_;
  Linear linear1_;
  Linear linear3_;
};

}  // namespace ddpm::lucidrains
