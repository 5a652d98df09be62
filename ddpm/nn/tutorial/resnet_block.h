// The residual block of the network (He et al. 2015, with weight standardization, group
// normalisation and FiLM by time).
#pragma once

#include <memory>

#include "ddpm/nn/layers.h"

namespace ddpm::tutorial {

struct BlockOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t groups = 8;
  double weight_standardization_eps = 0;
};

// Weight-standardized 3x3 convolution ("proj"), GroupNorm ("norm"), optional x (scale + 1) + shift,
// SiLU.
class Block : public Module {
 public:
  Block(const BlockOptions& options, Device device);
  struct Extras {
    const Variable* scale_shift = nullptr;  // [N, 2 out]: scale, then shift
    const Variable* more = nullptr;         // further channels of x
    const Variable* residual = nullptr;     // [N, H, W, out], added to the result
  };
  // x [N, H, W, in] -> [N, H, W, out]
  Variable operator()(const Variable& x, const Extras& extras) const;
  Variable operator()(const Variable& x, const Variable* scale_shift = nullptr) const {
    return (*this)(x, {.scale_shift = scale_shift});
  }

 private:
  WeightStandardizedConv2d proj_;
  GroupNorm norm_;
};

struct ResnetBlockOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t time_emb_dim = 0;  // 0: the block knows no time
  int64_t groups = 8;
  double weight_standardization_eps = 0;
};

// block1 with the scale and shift that "mlp.1" makes of SiLU(time_emb), block2, plus x through the
// 1x1 "res_conv" (absent where in = out).
class ResnetBlock : public Module {
 public:
  ResnetBlock(const ResnetBlockOptions& options, Device device);
  // x [N, H, W, in] -> [N, H, W, out]; time_emb [N, time_emb_dim], null for none; where `more` is
  // given, its channels follow those of x.
  Variable operator()(const Variable& x, const Variable* time_emb = nullptr,
                      const Variable* more = nullptr) const;

 private:
  std::unique_ptr<Linear> mlp_;
  Block block1_;
  Block block2_;
  std::unique_ptr<Conv2d> res_conv_;
};

}  // namespace ddpm::tutorial
