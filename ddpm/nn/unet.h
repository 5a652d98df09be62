// The network of the tutorial: a U-Net (Ronneberger et al. 2015; Ho et al. 2020) that takes noisy
// images and their time steps and predicts the noise.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ddpm/base/options.h"
#include "ddpm/nn/attention.h"
#include "ddpm/nn/resample.h"
#include "ddpm/nn/residual.h"
#include "ddpm/nn/resnet_block.h"
#include "ddpm/nn/time_embedding.h"

namespace ddpm {

struct UnetConfig {
  int64_t dim = 64;                               // base width; the time embedding is 4 dim wide
  std::vector<int64_t> dim_mults = {1, 2, 4, 8};  // width of each level, as a multiple of dim
  int64_t channels = 3;    // of the images: 1 grey, 3 RGB, 4 RGBA, or any other
  int64_t init_dim = 0;    // width after the first convolution; 0: dim
  int64_t output_dim = 0;  // channels of the output; 0: channels
  int64_t resnet_block_groups = 4;
  int64_t attention_heads = 4;
  int64_t attention_dim_head = 32;
  double weight_standardization_eps = 0;  // 0 is the tutorial's, 1e-5 the lucidrains lineage's

  void fields(Fields& field) {
    field("dim", dim, "base width of the network");
    field("dim_mults", dim_mults, "width of each level as a multiple of dim");
    field("channels", channels, "channels of the images");
    field("init_dim", init_dim, "width after the first convolution, 0 for dim");
    field("output_dim", output_dim, "channels of the output, 0 for the same as the images");
    field("resnet_block_groups", resnet_block_groups, "groups of the group normalisations");
    field("attention_heads", attention_heads, "heads of the attentions");
    field("attention_dim_head", attention_dim_head, "width of each head");
    field("weight_standardization_eps", weight_standardization_eps,
          "added to the variance of the filters");
  }

  int64_t first_width() const { return init_dim > 0 ? init_dim : dim; }
  int64_t output_channels() const { return output_dim > 0 ? output_dim : channels; }
  // The sides of an image must be multiples of this: 2^(levels - 1).
  int64_t side_divisor() const { return int64_t{1} << (dim_mults.size() - 1); }
  // Throw UsageError saying which value cannot work and which would.
  void check() const;
  void check_image(int64_t height, int64_t width) const;

  bool operator==(const UnetConfig&) const = default;
};

class DiffusionUnet : public Module {
 public:
  // Throws UsageError as UnetConfig::check(). Parameters are zeros and ones until initialize() or
  // loading.
  explicit DiffusionUnet(const UnetConfig& config, Device device = Device::kCpu);

  const UnetConfig& config() const { return config_; }
  // Training keeps the input of each block only and computes the rest again in the backward pass:
  // less memory, about a third more time, the same bits.
  void set_recompute(bool on) { recompute_ = on; }
  Device device() const { return device_; }
  // x [N, H, W, channels], t [N] -> [N, H, W, output channels]. Throws UsageError where the sides
  // are not divisible. Inside an Inference scope a large batch goes through in parts that fit the
  // cache.
  Variable operator()(const Variable& x, const Tensor& t) const;

 private:
  using LinearAttentionLayer = Residual<PreGroupNorm<LinearAttention>>;
  using AttentionLayer = Residual<PreGroupNorm<Attention>>;

  // One level on the way down or up; exactly one of resample and conv is there.
  template <class Resample>
  struct Level : ModuleList {
    std::unique_ptr<ResnetBlock> block1, block2;
    std::unique_ptr<LinearAttentionLayer> attention;
    std::unique_ptr<Resample> resample;
    std::unique_ptr<Conv2d> conv;
  };
  struct LevelOptions {
    int64_t block_in, width, out_channels;
    bool resamples;
  };

  ResnetBlockOptions block_options(int64_t in_channels, int64_t out_channels) const;
  template <class Resample>
  std::unique_ptr<Level<Resample>> make_level(const LevelOptions& options);

  Variable run(const std::function<Variable()>& block) const;
  int64_t images_at_once(const Shape& x) const;
  Variable in_parts(const Tensor& x, const Tensor& t) const;

  UnetConfig config_;
  Device device_;
  bool recompute_ = false;
  Conv2d init_conv_;
  TimeMlp time_mlp_;
  ModuleList down_layers_;
  std::vector<std::unique_ptr<Level<Downsample>>> down_;
  ResnetBlock mid_block1_;
  AttentionLayer mid_attention_;
  ResnetBlock mid_block2_;
  ModuleList up_layers_;
  std::vector<std::unique_ptr<Level<Upsample>>> up_;
  ResnetBlock final_res_block_;
  Conv2d final_conv_;
};

}  // namespace ddpm
