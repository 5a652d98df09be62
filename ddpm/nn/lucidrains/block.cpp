#include "ddpm/nn/lucidrains/block.h"

namespace ddpm::lucidrains {

Block::Block(const Options& options, Device device)
    : proj_({.in_channels = options.in_channels,
             .out_channels = options.out_channels,
             .kernel = 3,
             .padding = 1},
            device),
      norm_(options.out_channels, device) {
  add("proj", proj_);
  add("norm", norm_);
}

Variable Block::operator()(const Variable& x, const BlockExtras& extras) const {
  return norm_.film_silu(proj_(x, extras.more), extras.scale_shift, extras.residual);
}

}  // namespace ddpm::lucidrains
