#include "ddpm/nn/lucidrains/unet.h"

#include "ddpm/nn/lucidrains/attention.h"
#include "ddpm/nn/lucidrains/block.h"

namespace ddpm::lucidrains {
namespace {

std::unique_ptr<UnetAttention> make_attention(const UnetConfig& config, int64_t level,
                                              int64_t width, bool full, Device device) {
  const AttentionOptions options{.channels = width,
                                 .heads = config.heads_at(level),
                                 .dim_head = config.dim_head_at(level),
                                 .mem_kv = config.mem_kv};
  if (full) return std::make_unique<Attention>(options, device);
  return std::make_unique<LinearAttention>(options, device);
}

// Checks the configuration before anything is made from it.
UnetParts parts_of(const UnetConfig& config, Device device) {
  config.check();
  UnetParts parts;
  parts.first_kernel = 7;
  parts.last_width = unet_options(config).first_width();
  parts.widest = config.heads_at(0) * config.dim_head_at(0);
  parts.block = [device](int64_t in, int64_t out, const ResnetBlockOptions& options) {
    return std::make_unique<ResnetBlock>(Block::Options{.in_channels = in, .out_channels = out},
                                         options, device);
  };
  parts.attention = [&config, device](int64_t level, int64_t width) {
    return make_attention(config, level, width, config.full_attention_at(level), device);
  };
  parts.middle_attention = [&config, device](int64_t width) {
    return make_attention(config, config.levels() - 1, width, true, device);
  };
  return parts;
}

}  // namespace

Unet::Unet(const UnetConfig& config, Device device)
    : UnetNetwork(unet_options(config), parts_of(config, device), device),
      time_mlp_(config, device) {
  add("init_conv", init_conv_);
  add("time_mlp", time_mlp_);
  add_class_embedding();
  add("downs", downs_);
  add("ups", ups_);
  add("mid_block1", *mid_block1_);
  add("mid_attn", *mid_attention_);
  add("mid_block2", *mid_block2_);
  add("final_res_block", *final_res_block_);
  add("final_conv", final_conv_);
}

std::unique_ptr<Network> UnetConfig::make(Device device) const {
  return std::make_unique<Unet>(*this, device);
}

}  // namespace ddpm::lucidrains
