// The network of the tutorial: a U-Net (Ronneberger et al. 2015; Ho et al. 2020) that takes noisy
// images and their time steps and gives the output that the objective asks for, such as the noise.
#pragma once

#include <memory>
#include <vector>

#include "ddpm/nn/class_embedding.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/resample.h"
#include "ddpm/nn/tutorial/attention.h"
#include "ddpm/nn/tutorial/residual.h"
#include "ddpm/nn/tutorial/resnet_block.h"
#include "ddpm/nn/tutorial/time_embedding.h"

namespace ddpm::tutorial {

struct UnetConfig {
  static constexpr const char* kFamily = "tutorial";

  int64_t dim = 64;
  std::vector<int64_t> dim_mults = {1, 2, 4, 8};
  int64_t channels = 3;
  int64_t init_dim = 0;
  int64_t output_dim = 0;
  int64_t condition_channels = 0;
  int64_t classes = 0;
  int64_t groups = 4;
  int64_t heads = 4;
  int64_t dim_head = 32;
  double weight_standardization_eps = 0;
  double dropout = 0;
  bool self_condition = false;

  void fields(Fields& field);

  int64_t first_width() const { return init_dim > 0 ? init_dim : dim; }
  // Of the first convolution: the noisy image, then the earlier estimate, then the condition.
  int64_t input_channels() const {
    return channels * (self_condition ? 2 : 1) + condition_channels;
  }
  int64_t output_channels() const { return output_dim > 0 ? output_dim : channels; }
  // The sides of an image must be multiples of this: 2^(levels - 1).
  int64_t side_divisor() const { return int64_t{1} << (dim_mults.size() - 1); }
  // Throw UsageError saying which value cannot work and which would work.
  void check() const;
  void check_image(int64_t height, int64_t width) const;
  // Reads groups, heads, dim_head and weight_standardization_eps. Either of heads and dim_head
  // follows from the other, so that the width of all heads together stays the same. Throws
  // UsageError if they do not make up that width, and if self_condition does not fit the weights.
  void take_given(const JsonObject& given);
  // Makes a DiffusionUnet. Throws UsageError as check() does.
  std::unique_ptr<Network> make(Device device) const;

  bool operator==(const UnetConfig&) const = default;
};

class DiffusionUnet : public Network {
 public:
  // Throws UsageError as UnetConfig::check() does. The parameters are zeros and ones until
  // initialize() or loading.
  explicit DiffusionUnet(const UnetConfig& config, Device device = Device::kCpu);

  const UnetConfig& config() const { return config_; }
  OptionalInputs takes() const override {
    return {.labels = config_.classes > 0,
            .condition = config_.condition_channels > 0,
            .estimate = config_.self_condition,
            .dropout = config_.dropout > 0};
  }
  // As Network. Inside an Inference scope, a large batch is processed in parts that fit the cache.
  Variable operator()(const NetworkInput& input) const override;
  Variable operator()(const Variable& x, const Tensor& t) const {
    return (*this)(NetworkInput{.x = x, .t = t});
  }

 private:
  // The input of the first convolution.
  Variable first_input(const NetworkInput& input) const;  // [N, H, W, input channels]

  using LinearAttentionLayer = Residual<PreGroupNorm<LinearAttention>>;
  using AttentionLayer = Residual<PreGroupNorm<Attention>>;

  // One level on the way down or up. It has either resample or conv.
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

  // The next block's: each has its own stream of random numbers for dropout.
  ResnetBlockOptions block_options(int64_t in_channels, int64_t out_channels);
  template <class Resample>
  std::unique_ptr<Level<Resample>> make_level(const LevelOptions& options);

  // [N, 4 dim]: the embedding of the noise level, plus that of the class if there are classes.
  Variable embed(const NetworkInput& input) const;
  int64_t images_at_once(const Shape& x) const;

  UnetConfig config_;
  uint64_t blocks_made_ = 0;
  Conv2d init_conv_;
  TimeMlp time_mlp_;
  std::unique_ptr<ClassEmbedding> class_embedding_;
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

}  // namespace ddpm::tutorial
