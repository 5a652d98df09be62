// The residual block of this family.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/nn/lucidrains/rms_norm.h"

namespace ddpm::lucidrains {

// The inputs that all blocks share in one pass.
struct Pass {
  Variable time;                        // [N, time_emb_dim]
  std::vector<uint64_t> dropout_seeds;  // [N], or empty to drop nothing
};

// 3x3 convolution ("proj"), RmsNorm ("norm"), optional x (scale + 1) + shift, SiLU.
class Block : public Module {
 public:
  Block(int64_t in_channels, int64_t out_channels, Device device);
  struct Extras {
    const Variable* scale_shift = nullptr;  // [N, 2 out]: scale, then shift
    const Variable* more = nullptr;         // further channels of x
    const Variable* residual = nullptr;     // [N, H, W, out], added to the result
  };
  // x [N, H, W, in] -> [N, H, W, out]
  Variable operator()(const Variable& x, const Extras& extras) const;

 private:
  Conv2d proj_;
  RmsNorm norm_;
};

struct ResnetBlockOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t time_emb_dim = 0;
  // The share of block1's output that is dropped in training, and the stream of each image's seed
  // that decides which.
  double dropout = 0;
  uint64_t dropout_stream = 0;
};

// block1 with the scale and shift that "mlp.1" computes from SiLU(time), then dropout, then block2,
// plus x through the 1x1 "res_conv", which is absent if in = out.
class ResnetBlock : public Module {
 public:
  ResnetBlock(const ResnetBlockOptions& options, Device device);
  // x [N, H, W, in] -> [N, H, W, out]. If `more` is given, its channels follow those of x.
  Variable operator()(const Variable& x, const Pass& pass, const Variable* more = nullptr) const;

 private:
  ResnetBlockOptions options_;
  Linear mlp_;
  Block block1_;
  Block block2_;
  std::unique_ptr<Conv2d> res_conv_;
};

}  // namespace ddpm::lucidrains
