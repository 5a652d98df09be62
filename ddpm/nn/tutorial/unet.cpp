#include "ddpm/nn/tutorial/unet.h"

#include "ddpm/nn/tutorial/attention.h"
#include "ddpm/nn/tutorial/block.h"
#include "ddpm/nn/tutorial/residual.h"

namespace ddpm::tutorial {
namespace {

// Stands where a level has no attention.
class NoAttention : public UnetAttention {
 public:
  Variable operator()(const Variable& x) const override { return x; }
};

template <class Kind>
std::unique_ptr<UnetAttention> make_attention(const UnetConfig& config, int64_t width,
                                              Device device) {
  return std::make_unique<Residual<PreGroupNorm<Kind>>>(
      GroupNorm::Options{.groups = 1, .channels = width}, device,
      AttentionOptions{
          .in_channels = width, .num_heads = config.heads, .dim_head = config.dim_head},
      device);
}

// Checks the configuration before anything is made from it.
UnetParts parts_of(const UnetConfig& config, Device device) {
  config.check();
  UnetParts parts;
  // The tutorial builds its last up-level for init_dim channels but its last block for 2 dim.
  // These differ if init_dim != dim. The block really receives init_dim channels twice.
  parts.last_width = config.dim;
  parts.widest = config.attention_at(0) ? config.heads * config.dim_head : config.dim;
  parts.block = [&config, device](int64_t in, int64_t out, const ResnetBlockOptions& options) {
    return std::make_unique<ResnetBlock>(
        Block::Options{.in_channels = in,
                       .out_channels = out,
                       .groups = config.groups,
                       .weight_standardization_eps = config.weight_standardization_eps},
        options, device);
  };
  parts.attention = [&config, device](int64_t level,
                                      int64_t width) -> std::unique_ptr<UnetAttention> {
    if (!config.attention_at(level)) return std::make_unique<NoAttention>();
    return make_attention<LinearAttention>(config, width, device);
  };
  parts.middle_attention = [&config, device](int64_t width) {
    return make_attention<Attention>(config, width, device);
  };
  return parts;
}

}  // namespace

DiffusionUnet::DiffusionUnet(const UnetConfig& config, Device device)
    : UnetNetwork(unet_options(config), parts_of(config, device), device),
      time_mlp_({.dim = config.dim, .augment_channels = config.augment_channels}, device) {
  add("init_conv", init_conv_);
  add("time_mlp", time_mlp_);
  add_class_embedding();
  add("down_layers", downs_);
  add("mid_block1", *mid_block1_);
  add("mid_attention", *mid_attention_);
  add("mid_block2", *mid_block2_);
  add("up_layers", ups_);
  add("final_res_block", *final_res_block_);
  add("final_conv", final_conv_);
}

std::unique_ptr<Network> UnetConfig::make(Device device) const {
  return std::make_unique<DiffusionUnet>(*this, device);
}

}  // namespace ddpm::tutorial
