// Self-attention over the positions of an image, and its linear variant. Both compute q, k and v
// with a 1x1 convolution without bias, and the output with a 1x1 convolution.
#pragma once

#include "ddpm/nn/layers.h"

namespace ddpm::tutorial {

struct AttentionOptions {
  int64_t in_channels = 0;
  int64_t num_heads = 4;
  int64_t dim_head = 32;
};

// softmax(q^T k / sqrt(d)) v (Vaswani et al. 2017, arXiv:1706.03762). [N, H, W, C] -> the same
// shape. Adds residual if given.
class Attention : public Module {
 public:
  Attention(const AttentionOptions& options, Device device);
  Variable operator()(const Variable& x, const Variable* residual = nullptr) const;

 private:
  AttentionOptions options_;
  Conv2d input_to_qkv_;
  Conv2d to_output_;
};

// Its time is linear in the number of positions (Shen et al. 2018, arXiv:1812.01243). A GroupNorm
// of one group follows. Adds residual if given.
class LinearAttention : public Module {
 public:
  LinearAttention(const AttentionOptions& options, Device device);
  Variable operator()(const Variable& x, const Variable* residual = nullptr) const;

 private:
  AttentionOptions options_;
  Conv2d input_to_qkv_;
  Conv2d to_output_0_;
  GroupNorm to_output_1_;
};

}  // namespace ddpm::tutorial
