// Self-attention over the positions of an image, and its linear variant. Both normalise x ("norm"),
// project it to q, k, v by a 1x1 convolution without bias ("to_qkv"), attend to the positions and
// to keys and values of their own ("mem_kv"), project back, and add x.
#pragma once

#include <cstdint>

#include "ddpm/nn/lucidrains/rms_norm.h"
#include "ddpm/nn/unet/resnet_block.h"

namespace ddpm::lucidrains {

struct AttentionOptions {
  int64_t channels = 0;
  int64_t heads = 4;
  int64_t dim_head = 32;
  int64_t mem_kv = 4;
};

// softmax(q^T k / sqrt(d)) v; mem_kv [2, heads, mem_kv, d].
class Attention : public UnetAttention {
 public:
  Attention(const AttentionOptions& options, Device device);
  Variable operator()(const Variable& x) const override;

 private:
  AttentionOptions options_;
  Parameter mem_kv_;
  RmsNorm norm_;
  Conv2d to_qkv_;
  Conv2d to_out_;
};

// Linear in the number of positions (Shen et al. 2018, arXiv:1812.01243), followed by another
// RmsNorm ("to_out.1"); mem_kv [2, heads, d, mem_kv].
class LinearAttention : public UnetAttention {
 public:
  LinearAttention(const AttentionOptions& options, Device device);
  Variable operator()(const Variable& x) const override;

 private:
  AttentionOptions options_;
  Parameter mem_kv_;
  RmsNorm norm_;
  Conv2d to_qkv_;
  Conv2d to_out_0_;
  RmsNorm to_out_1_;
};

}  // namespace ddpm::lucidrains
