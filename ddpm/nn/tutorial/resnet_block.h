// The residual block of the network (He et al. 2015, with weight standardization, group
// normalisation and FiLM by time).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/nn/layers.h"

namespace ddpm::tutorial {

struct BlockOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t groups = 8;
  double weight_standardization_eps = 0;
};

// A weight-standardized 3x3 convolution ("proj"), GroupNorm ("norm"), optionally x (scale + 1) +
// shift, and SiLU.
class Block : public Module {
 public:
  Block(const BlockOptions& options, Device device);
  struct Extras {
    // [N, 2 out]: scale, then shift.
    const Variable* scale_shift = nullptr;
    // Further channels, which follow those of x.
    const Variable* more = nullptr;
    // [N, H, W, out]: added to the result.
    const Variable* residual = nullptr;
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
  // 0: the block gets no time embedding.
  int64_t time_emb_dim = 0;
  int64_t groups = 8;
  double weight_standardization_eps = 0;
  // The share of block1's output that is dropped in training, and the stream of each image's seed
  // that decides which. Each block needs its own stream.
  double dropout = 0;
  uint64_t dropout_stream = 0;
};

// block1, then block2, plus x. "mlp.1" computes the scale and shift of block1 from SiLU(time_emb).
// If in and out differ, x goes through the 1x1 convolution "res_conv"; otherwise that is absent.
class ResnetBlock : public Module {
 public:
  ResnetBlock(const ResnetBlockOptions& options, Device device);
  // x [N, H, W, in] -> [N, H, W, out]. time_emb is [N, time_emb_dim], or null for none. The
  // channels of `more`, if given, follow those of x. Without seeds, nothing is dropped.
  Variable operator()(const Variable& x, const Variable* time_emb = nullptr,
                      const Variable* more = nullptr,
                      const std::vector<uint64_t>& dropout_seeds = {}) const;

 private:
  double dropout_;
  uint64_t dropout_stream_;
  std::unique_ptr<Linear> mlp_;
  Block block1_;
  Block block2_;
  std::unique_ptr<Conv2d> res_conv_;
};

}  // namespace ddpm::tutorial
