#include "ddpm/nn/tutorial/resnet_block.h"

namespace ddpm::tutorial {

Block::Block(const BlockOptions& options, Device device)
    : proj_({.in_channels = options.in_channels,
             .out_channels = options.out_channels,
             .kernel = 3,
             .padding = 1},
            options.weight_standardization_eps, device),
      norm_({.groups = options.groups, .channels = options.out_channels}, device) {
  add("proj", proj_);
  add("norm", norm_);
}

Variable Block::operator()(const Variable& x, const Extras& extras) const {
  return norm_.film_silu(proj_(x, extras.more), extras.scale_shift, extras.residual);
}

ResnetBlock::ResnetBlock(const ResnetBlockOptions& options, Device device)
    : dropout_(options.dropout),
      dropout_stream_(options.dropout_stream),
      block1_({.in_channels = options.in_channels,
               .out_channels = options.out_channels,
               .groups = options.groups,
               .weight_standardization_eps = options.weight_standardization_eps},
              device),
      block2_({.in_channels = options.out_channels,
               .out_channels = options.out_channels,
               .groups = options.groups,
               .weight_standardization_eps = options.weight_standardization_eps},
              device) {
  if (options.time_emb_dim > 0) {
    mlp_ = std::make_unique<Linear>(Linear::Options{.in_features = options.time_emb_dim,
                                                    .out_features = 2 * options.out_channels},
                                    device);
    add("mlp.1", *mlp_);
  }
  add("block1", block1_);
  add("block2", block2_);
  if (options.in_channels != options.out_channels) {
    res_conv_ = std::make_unique<Conv2d>(
        Conv2dOptions{
            .in_channels = options.in_channels, .out_channels = options.out_channels, .kernel = 1},
        device);
    add("res_conv", *res_conv_);
  }
}

Variable ResnetBlock::operator()(const Variable& x, const Variable* time_emb, const Variable* more,
                                 const std::vector<uint64_t>& dropout_seeds) const {
  if (more != nullptr && !res_conv_) {
    const Variable all = concat_channels(x, *more);
    return (*this)(all, time_emb, nullptr, dropout_seeds);
  }
  Variable scale_shift;
  if (mlp_ && time_emb != nullptr) scale_shift = (*mlp_)(activation(Activation::kSilu, *time_emb));
  Variable h =
      block1_(x, {.scale_shift = scale_shift.defined() ? &scale_shift : nullptr, .more = more});
  if (dropout_ > 0 && !dropout_seeds.empty())
    h = dropout(h, dropout_, dropout_seeds, dropout_stream_);
  const Variable residual = res_conv_ ? (*res_conv_)(x, more) : x;
  return block2_(h, {.residual = &residual});
}

}  // namespace ddpm::tutorial
