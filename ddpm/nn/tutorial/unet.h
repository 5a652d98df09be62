// The network of the tutorial: a U-Net that takes noisy images and their time steps and gives the
// output that the objective asks for, such as the noise.
#pragma once

#include "ddpm/nn/tutorial/options.h"
#include "ddpm/nn/tutorial/time_embedding.h"
#include "ddpm/nn/unet/unet.h"

namespace ddpm::tutorial {

class DiffusionUnet : public UnetNetwork {
 public:
  // Throws UsageError as UnetConfig::check() does. The parameters are zeros and ones until
  // initialize() or loading.
  explicit DiffusionUnet(const UnetConfig& config, Device device = Device::kCpu);

  using UnetNetwork::operator();
  Variable operator()(const Variable& x, const Tensor& t) const {
    return (*this)(NetworkInput{.x = x, .t = t});
  }

 private:
  Variable embed_time(const Tensor& t, const Tensor& augment) const override {
    return time_mlp_(t, augment);
  }
  Variable join(const Variable& x, const Variable& estimate,
                const Variable& condition) const override {
    return concat_defined({x, estimate, condition});
  }

  TimeMlp time_mlp_;
};

}  // namespace ddpm::tutorial
