// The network of lucidrains/denoising-diffusion-pytorch 2.3.1: a U-Net like the tutorial's, with
// RMS normalisation, attentions with learnt keys and values of their own, and softmax attention at
// the chosen levels. Parameters have that program's names.
#pragma once

#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/lucidrains/time_embedding.h"
#include "ddpm/nn/unet/unet.h"

namespace ddpm::lucidrains {

class Unet : public UnetNetwork {
 public:
  // Throws UsageError as UnetConfig::check() does. Parameters are zeros and ones until initialize()
  // or loading.
  explicit Unet(const UnetConfig& config, Device device = Device::kCpu);

 private:
  Variable embed_time(const Tensor& t, const Tensor& augment) const override {
    return time_mlp_(t, augment);
  }
  Variable join(const Variable& x, const Variable& estimate,
                const Variable& condition) const override {
    return concat_defined({estimate, x, condition});
  }

  TimeMlp time_mlp_;
};

}  // namespace ddpm::lucidrains
