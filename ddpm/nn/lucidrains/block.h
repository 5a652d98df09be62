// The block of this family.
#pragma once

#include <cstdint>

#include "ddpm/nn/lucidrains/rms_norm.h"
#include "ddpm/nn/unet/resnet_block.h"

namespace ddpm::lucidrains {

// 3x3 convolution ("proj"), RmsNorm ("norm"), optional x (scale + 1) + shift, SiLU.
class Block : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
  };
  Block(const Options& options, Device device);
  // x [N, H, W, in] -> [N, H, W, out]
  Variable operator()(const Variable& x, const BlockExtras& extras) const;

 private:
  Conv2d proj_;
  RmsNorm norm_;
};

using ResnetBlock = ResnetBlockOf<Block>;

}  // namespace ddpm::lucidrains
