// The layers inside a level of a U-Net, and the residual block that families make of their own
// blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ddpm/nn/layers.h"

namespace ddpm {

// The inputs that all blocks share in one pass.
struct UnetPass {
  // [N, time_emb_dim], or undefined for blocks without it.
  Variable time = {};
  // [N], or empty to drop nothing.
  std::vector<uint64_t> dropout_seeds = {};
};

class UnetBlock : public Module {
 public:
  // x [N, H, W, in] -> [N, H, W, out]. The channels of `more`, if given, follow those of x.
  virtual Variable operator()(const Variable& x, const UnetPass& pass = {},
                              const Variable* more = nullptr) const = 0;
};

class UnetAttention : public Module {
 public:
  // [N, H, W, channels] -> the same shape.
  virtual Variable operator()(const Variable& x) const = 0;
};

// What a family's block may take besides x.
struct BlockExtras {
  const Variable* scale_shift = nullptr;  // [N, 2 out]: scale, then shift
  const Variable* more = nullptr;         // further channels, which follow those of x
  const Variable* residual = nullptr;     // [N, H, W, out], added to the result
};

struct ResnetBlockOptions {
  // 0: the block gets no time embedding.
  int64_t time_emb_dim = 0;
  // The share of block1's output that is dropped in training, and the stream of each image's seed
  // that decides which. Each block needs its own stream.
  double dropout = 0;
  uint64_t dropout_stream = 0;
};

// block1, then dropout, then block2, plus x (He et al. 2015). "mlp.1" computes the scale and shift
// of block1 from SiLU(time). If in and out differ, x goes through the 1x1 convolution "res_conv";
// otherwise that is absent. A Block is a family's: it has Options with in_channels and
// out_channels, and takes x and BlockExtras.
template <class Block>
class ResnetBlockOf : public UnetBlock {
 public:
  ResnetBlockOf(const typename Block::Options& block, const ResnetBlockOptions& options,
                Device device)
      : options_(options), block1_(block, device), block2_(second(block), device) {
    const int64_t in = block.in_channels, out = block.out_channels;
    if (options.time_emb_dim > 0) {
      mlp_ = std::make_unique<Linear>(
          Linear::Options{.in_features = options.time_emb_dim, .out_features = 2 * out}, device);
      add("mlp.1", *mlp_);
    }
    add("block1", block1_);
    add("block2", block2_);
    if (in == out) return;
    res_conv_ = std::make_unique<Conv2d>(
        Conv2dOptions{.in_channels = in, .out_channels = out, .kernel = 1}, device);
    add("res_conv", *res_conv_);
  }

  Variable operator()(const Variable& x, const UnetPass& pass = {},
                      const Variable* more = nullptr) const override {
    if (more != nullptr && !res_conv_) return (*this)(concat_channels(x, *more), pass);
    Variable scale_shift;
    if (mlp_ && pass.time.defined())
      scale_shift = (*mlp_)(activation(Activation::kSilu, pass.time));
    Variable h =
        block1_(x, {.scale_shift = scale_shift.defined() ? &scale_shift : nullptr, .more = more});
    if (options_.dropout > 0 && !pass.dropout_seeds.empty())
      h = dropout(h, options_.dropout, pass.dropout_seeds, options_.dropout_stream);
    const Variable residual = res_conv_ ? (*res_conv_)(x, more) : x;
    return block2_(h, {.residual = &residual});
  }

 private:
  static typename Block::Options second(typename Block::Options options) {
    options.in_channels = options.out_channels;
    return options;
  }

  ResnetBlockOptions options_;
  std::unique_ptr<Linear> mlp_;
  Block block1_;
  Block block2_;
  std::unique_ptr<Conv2d> res_conv_;
};

}  // namespace ddpm
