// What the U-Nets of all families have in common (Ronneberger et al. 2015; Ho et al. 2020): levels
// of two blocks and an attention each, on the way down and on the way up, where every block also
// reads what the block at its place on the way down has given. A family brings its own blocks,
// attentions, embedding of the noise level and names.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ddpm/nn/class_embedding.h"
#include "ddpm/nn/network.h"
#include "ddpm/nn/unet/options.h"
#include "ddpm/nn/unet/resample.h"
#include "ddpm/nn/unet/resnet_block.h"

namespace ddpm {

// How a family makes the parts of its network.
struct UnetParts {
  // The sides of the first convolution's kernel, an odd number.
  int64_t first_kernel = 1;
  // The width of the last block.
  int64_t last_width = 0;
  // The channels of the largest activation at the first level: all heads of its attention.
  int64_t widest = 0;
  std::function<std::unique_ptr<UnetBlock>(int64_t in, int64_t out, const ResnetBlockOptions&)>
      block;
  std::function<std::unique_ptr<UnetAttention>(int64_t level, int64_t width)> attention;
  std::function<std::unique_ptr<UnetAttention>(int64_t width)> middle_attention;
};

class UnetNetwork : public Network {
 public:
  // As Network. Inside an Inference scope, a large batch is processed in parts that fit the cache.
  Variable operator()(const NetworkInput& input) const override;
  OptionalInputs takes() const override;

 protected:
  // Makes all that is below. The family's constructor then adds it under its own names, in its own
  // order. All parameters are zeros and ones until initialize() or loading.
  UnetNetwork(UnetOptions options, const UnetParts& parts, Device device);

  // t [N], and augment [N, augment channels] or empty -> [N, 4 dim]
  virtual Variable embed_time(const Tensor& t, const Tensor& augment) const = 0;
  // The input of the first convolution [N, H, W, input channels]: those of the three that are
  // defined, in the family's order.
  virtual Variable join(const Variable& x, const Variable& estimate,
                        const Variable& condition) const = 0;

  // Adds "class_embedding" if there are classes.
  void add_class_embedding();

  Conv2d init_conv_;
  ModuleList downs_;
  std::unique_ptr<UnetBlock> mid_block1_;
  std::unique_ptr<UnetAttention> mid_attention_;
  std::unique_ptr<UnetBlock> mid_block2_;
  ModuleList ups_;
  std::unique_ptr<UnetBlock> final_res_block_;
  Conv2d final_conv_;

 private:
  // One level on the way down or up. It has either resample or conv.
  template <class Resample>
  struct Level : ModuleList {
    std::unique_ptr<UnetBlock> block1, block2;
    std::unique_ptr<UnetAttention> attention;
    std::unique_ptr<Resample> resample;
    std::unique_ptr<Conv2d> conv;
  };
  struct LevelOptions {
    int64_t level, block_in, width, out_channels;
    bool resamples;
  };
  std::unique_ptr<UnetBlock> make_block(const UnetParts& parts, int64_t in, int64_t out);
  template <class Resample>
  std::unique_ptr<Level<Resample>> make_level(const UnetParts& parts, const LevelOptions& options);
  // [N, 4 dim]: the embedding of the noise level, plus that of the class if there are classes.
  Variable embed(const NetworkInput& input) const;

  UnetOptions options_;
  int64_t widest_;
  uint64_t blocks_made_ = 0;
  std::unique_ptr<ClassEmbedding> class_embedding_;
  std::vector<std::unique_ptr<Level<Downsample>>> down_;
  std::vector<std::unique_ptr<Level<Upsample>>> up_;
};

}  // namespace ddpm
