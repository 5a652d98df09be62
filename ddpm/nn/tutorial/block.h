// The block of the tutorial, with weight standardization, group normalisation and FiLM by time.
#pragma once

#include <cstdint>

#include "ddpm/nn/unet/resnet_block.h"

namespace ddpm::tutorial {

// A weight-standardized 3x3 convolution ("proj"), GroupNorm ("norm"), optionally x (scale + 1) +
// shift, and SiLU.
class Block : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
    int64_t groups = 8;
    double weight_standardization_eps = 0;
  };
  Block(const Options& options, Device device);
  // x [N, H, W, in] -> [N, H, W, out]
  Variable operator()(const Variable& x, const BlockExtras& extras) const;

 private:
  WeightStandardizedConv2d proj_;
  GroupNorm norm_;
};

using ResnetBlock = ResnetBlockOf<Block>;

}  // namespace ddpm::tutorial
