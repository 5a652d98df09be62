// The network of lucidrains/denoising-diffusion-pytorch 2.3.1: a U-Net like the tutorial's, with
// RMS normalisation, attentions with learnt keys and values of their own, and softmax attention at
// the chosen levels. Parameters have that program's names.
#pragma once

#include <memory>
#include <vector>

#include "ddpm/nn/class_embedding.h"
#include "ddpm/nn/lucidrains/attention.h"
#include "ddpm/nn/lucidrains/options.h"
#include "ddpm/nn/lucidrains/resnet_block.h"
#include "ddpm/nn/lucidrains/time_embedding.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/resample.h"

namespace ddpm::lucidrains {

class Unet : public Network {
 public:
  // Throws UsageError as UnetConfig::check() does. Parameters are zeros and ones until initialize()
  // or loading.
  explicit Unet(const UnetConfig& config, Device device = Device::kCpu);

  const UnetConfig& config() const { return config_; }
  // As Network. Inside an Inference scope a large batch goes through in parts that fit the cache.
  Variable operator()(const NetworkInput& input) const override;
  OptionalInputs takes() const override {
    return {.labels = config_.classes > 0,
            .condition = config_.condition_channels > 0,
            .estimate = config_.self_condition,
            .dropout = config_.dropout > 0};
  }

 private:
  // One level on the way down or up. It has exactly one of resample and conv.
  template <class Resample>
  struct Level : ModuleList {
    std::unique_ptr<ResnetBlock> block1, block2;
    std::unique_ptr<AttentionLayer> attention;
    std::unique_ptr<Resample> resample;
    std::unique_ptr<Conv2d> conv;
  };
  struct LevelOptions {
    int64_t level, block_in, width, out_channels;
    bool resamples;
  };

  ResnetBlockOptions block_options(int64_t in_channels, int64_t out_channels);
  AttentionOptions attention_options(int64_t level, int64_t channels) const;
  template <class Resample>
  std::unique_ptr<Level<Resample>> make_level(const LevelOptions& options);
  // [N, H, W, input channels] -> [N, H, W, init_dim]
  Variable first_convolution(const NetworkInput& input) const;
  // [N, 4 dim]: the embedding of the noise level, plus that of the class if there are classes.
  Variable embed(const NetworkInput& input) const;
  int64_t images_at_once(const Shape& x) const;

  UnetConfig config_;
  uint64_t blocks_made_ = 0;
  Conv2d init_conv_;
  TimeMlp time_mlp_;
  std::unique_ptr<ClassEmbedding> class_embedding_;
  ModuleList downs_;
  std::vector<std::unique_ptr<Level<Downsample>>> down_;
  ModuleList ups_;
  std::vector<std::unique_ptr<Level<Upsample>>> up_;
  ResnetBlock mid_block1_;
  Attention mid_attn_;
  ResnetBlock mid_block2_;
  ResnetBlock final_res_block_;
  Conv2d final_conv_;
};

}  // namespace ddpm::lucidrains
