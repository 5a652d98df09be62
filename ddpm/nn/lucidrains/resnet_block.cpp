#include "ddpm/nn/lucidrains/resnet_block.h"

namespace ddpm::lucidrains {

Block::Block(int64_t in_channels, int64_t out_channels, Device device)
    : proj_({.in_channels = in_channels, .out_channels = out_channels, .kernel = 3, .padding = 1},
            device),
      norm_(out_channels, device) {
  add("proj", proj_);
  add("norm", norm_);
}

Variable Block::operator()(const Variable& x, const Extras& extras) const {
  return norm_.film_silu(proj_(x, extras.more), extras.scale_shift, extras.residual);
}

ResnetBlock::ResnetBlock(const ResnetBlockOptions& options, Device device)
    : options_(options),
      mlp_({.in_features = options.time_emb_dim, .out_features = 2 * options.out_channels}, device),
      block1_(options.in_channels, options.out_channels, device),
      block2_(options.out_channels, options.out_channels, device) {
  add("mlp.1", mlp_);
  add("block1", block1_);
  add("block2", block2_);
  if (options.in_channels == options.out_channels) return;
  res_conv_ = std::make_unique<Conv2d>(
      Conv2dOptions{
          .in_channels = options.in_channels, .out_channels = options.out_channels, .kernel = 1},
      device);
  add("res_conv", *res_conv_);
}

Variable ResnetBlock::operator()(const Variable& x, const Pass& pass, const Variable* more) const {
  if (more != nullptr && !res_conv_) {
    const Variable all = concat_channels(x, *more);
    return (*this)(all, pass);
  }
  const Variable scale_shift = mlp_(activation(Activation::kSilu, pass.time));
  Variable h = block1_(x, {.scale_shift = &scale_shift, .more = more});
  if (options_.dropout > 0 && !pass.dropout_seeds.empty())
    h = dropout(h, options_.dropout, pass.dropout_seeds, options_.dropout_stream);
  const Variable residual = res_conv_ ? (*res_conv_)(x, more) : x;
  return block2_(h, {.residual = &residual});
}

}  // namespace ddpm::lucidrains
